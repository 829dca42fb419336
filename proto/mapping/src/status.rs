//! The one table between the errors of use cases and gRPC.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use hive_application::error::{Effect, Error, ErrorKind, chain};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Who names the reasons in `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "hive";

/// In the metadata of `google.rpc.ErrorInfo`: `unknown` when a failed write may have happened.
const EFFECT: &str = "effect";
const UNKNOWN_EFFECT: &str = "unknown";
/// As servers say it of calls that they refuse before anything happens.
const NO_EFFECT: &str = "none";

/// The reason of a call whose message is above a server's limit.
const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";

/// Every reason a use case gives. One that is not here arrives as the word of its kind.
#[rustfmt::skip]
const REASONS: &[&str] = &[
    "AGENT_ID_HELD", "ALREADY_SUPERVISED", "FLOW_NOT_OPEN", "INTERNAL", "INVALID_FIELD", "INVALID_TRANSITION",
    "LOG_PRUNED", "MESSAGE_TOO_LARGE", "NOT_FOUND", "NOT_YOURS", "RETRIES_EXHAUSTED", "STALE_EPOCH", "TICKET_CONTENDED", "TICKET_EXISTS",
    "TICKET_NOT_ACTIVE", "TICKET_SCOPE", "TOO_MANY_AGENTS", "TOO_MANY_WATCHES", "TOO_MANY_WRITERS", "UNAVAILABLE",
];

/// The gRPC code of a kind of error.
pub const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::Aborted => Code::Aborted,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    }
}

/// How long a caller should wait before the same call may succeed.
const fn retry_after(kind: ErrorKind) -> Option<Duration> {
    match kind {
        ErrorKind::Aborted => Some(Duration::from_millis(50)),
        ErrorKind::ResourceExhausted | ErrorKind::Unavailable => Some(Duration::from_secs(1)),
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::OutOfRange
        | ErrorKind::PermissionDenied
        | ErrorKind::Internal => None,
    }
}

/// The error as a caller sees it: its text, and `google.rpc` details. The cause goes to the log and nowhere else.
pub fn status(error: &Error) -> Status {
    match error.kind() {
        ErrorKind::Internal => {
            tracing::error!(reason = error.reason(), error = chain(error), "call failed");
        }
        ErrorKind::Unavailable => {
            tracing::warn!(reason = error.reason(), error = chain(error), "call failed");
        }
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::OutOfRange
        | ErrorKind::Aborted
        | ErrorKind::PermissionDenied
        | ErrorKind::ResourceExhausted => {}
    }
    let message = error.to_string();
    let unknown = error.effect() == Effect::Unknown;
    let told = unknown.then(|| (EFFECT.to_owned(), UNKNOWN_EFFECT.to_owned()));
    let metadata: HashMap<String, String> = told.into_iter().collect();
    let mut details = ErrorDetails::with_error_info(error.reason(), ERROR_DOMAIN, metadata);
    if let Some(field) = error.field() {
        details.add_bad_request_violation(field, &message);
    }
    if let Some(delay) = retry_after(error.kind()) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code(error.kind()), message, details)
}

/// [`status`] as it stands behind `map_err`.
#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
pub fn to_status(error: Error) -> Status {
    status(&error)
}

/// The error behind a status, as it was in the process that sent it. Where the call never came to that process, or its
/// answer was lost on the way, `what` is unavailable; so it is when it took too long, and when that process cannot answer
/// for a reason of its own, such as a defect or a secret it does not share: that is mended there and never a defect here.
pub fn from_status(what: &'static str, status: Status) -> Error {
    if let Some(error) = told(&status) {
        return error;
    }
    let info = status.get_details_error_info();
    let effect = info.as_ref().and_then(|info| match info.metadata.get(EFFECT)?.as_str() {
        UNKNOWN_EFFECT => Some(Effect::Unknown),
        NO_EFFECT => Some(Effect::None),
        _ => None,
    });
    let kind = match status.code() {
        _ if status.source().is_some() || was_not_ready(&status) => None,
        Code::InvalidArgument | Code::OutOfRange => Some(ErrorKind::InvalidArgument),
        Code::NotFound => Some(ErrorKind::NotFound),
        Code::AlreadyExists => Some(ErrorKind::AlreadyExists),
        Code::FailedPrecondition => Some(ErrorKind::FailedPrecondition),
        Code::Aborted => Some(ErrorKind::Aborted),
        Code::ResourceExhausted if info.is_some_and(|info| info.reason == MESSAGE_TOO_LARGE) => {
            // It is as large the next time.
            let (kind, effect) = (ErrorKind::InvalidArgument, effect.unwrap_or(Effect::None));
            return Error::told(kind, MESSAGE_TOO_LARGE, status.message(), None, effect);
        }
        Code::ResourceExhausted => Some(ErrorKind::ResourceExhausted),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => None,
        Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented => None,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => None,
    };
    let Some(kind) = kind else {
        let effect = effect.unwrap_or(if never_begun(&status) { Effect::None } else { Effect::Unknown });
        return Error::unavailable(what, status, effect);
    };
    Error::told(kind, word(kind), status.message(), None, effect.unwrap_or(Effect::None))
}

/// What our own use cases say of an error, unless it is a defect of theirs.
fn told(status: &Status) -> Option<Error> {
    let info = status.get_details_error_info().filter(|info| info.domain == ERROR_DOMAIN)?;
    let kind = KINDS.into_iter().find(|kind| code(*kind) == status.code())?;
    let reason = REASONS.iter().find(|reason| **reason == info.reason).copied().unwrap_or(word(kind));
    let violations = status.get_details_bad_request().map(|request| request.field_violations);
    let field = violations.and_then(|violations| Some(violations.into_iter().next()?.field));
    let unknown = info.metadata.get(EFFECT).is_some_and(|effect| effect == UNKNOWN_EFFECT);
    let effect = if unknown { Effect::Unknown } else { Effect::None };
    Some(Error::told(kind, reason, status.message(), field, effect))
}

/// Whether there was no connection to send the call on, as generated clients say it.
fn was_not_ready(status: &Status) -> bool {
    status.code() == Code::Unknown && status.message().starts_with("Service was not ready")
}

/// Whether the call failed before there was a connection to send it on, or before it came to a use case.
fn never_begun(status: &Status) -> bool {
    let refused =
        matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented);
    if was_not_ready(status) || (refused && status.source().is_none()) {
        return true;
    }
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The kinds that an error keeps on its way from another process.
const KINDS: [ErrorKind; 9] = [
    ErrorKind::InvalidArgument,
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::FailedPrecondition,
    ErrorKind::OutOfRange,
    ErrorKind::Aborted,
    ErrorKind::PermissionDenied,
    ErrorKind::ResourceExhausted,
    ErrorKind::Unavailable,
];

/// The reason of an error whose own is not known.
const fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "INVALID_ARGUMENT",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::AlreadyExists => "ALREADY_EXISTS",
        ErrorKind::FailedPrecondition => "FAILED_PRECONDITION",
        ErrorKind::OutOfRange => "OUT_OF_RANGE",
        ErrorKind::Aborted => "ABORTED",
        ErrorKind::PermissionDenied => "PERMISSION_DENIED",
        ErrorKind::ResourceExhausted => "RESOURCE_EXHAUSTED",
        ErrorKind::Unavailable => "UNAVAILABLE",
        ErrorKind::Internal => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_as_it_was() {
        let errors = [
            Error::invalid("sla.timeout_ms", "must be positive"),
            Error::not_found("Ticket", "t-1"),
            Error::new(ErrorKind::FailedPrecondition, "STALE_EPOCH", "the epoch is old"),
            Error::new(ErrorKind::PermissionDenied, "AGENT_ID_HELD", "held"),
            Error::new(ErrorKind::Aborted, "TICKET_CONTENDED", "contended"),
            Error::told(ErrorKind::OutOfRange, "LOG_PRUNED", "gone", Some("after".to_owned()), Effect::None),
            Error::new(ErrorKind::ResourceExhausted, "TOO_MANY_WRITERS", "full"),
            Error::unavailable("the ticket store", "gone", Effect::Unknown),
            Error::unavailable("the ticket store", "gone", Effect::None),
            Error::told(ErrorKind::InvalidArgument, "MESSAGE_TOO_LARGE", "large", None, Effect::Unknown),
        ];
        for error in errors {
            let back = from_status("the tickets", status(&error));
            assert_eq!(
                (back.kind(), back.reason(), back.field(), back.effect(), back.to_string()),
                (error.kind(), error.reason(), error.field(), error.effect(), error.to_string())
            );
        }
    }

    #[test]
    fn what_never_arrived_certainly_changed_nothing() {
        let refused = tonic::ConnectError(Box::from("connection refused"));
        let not_ready = Status::unknown("Service was not ready: closed");
        let metadata = HashMap::from([("effect".to_owned(), "none".to_owned())]);
        let details = ErrorDetails::with_error_info("UNREACHABLE", "client", metadata);
        let unreachable = Status::with_error_details(Code::Unavailable, "it cannot be reached", details);
        // As generated clients hand on what the channel below them says.
        let unreachable = Status::from_error(Box::new(unreachable));
        for status in [not_ready, Status::from_error(Box::new(refused)), unreachable] {
            let error = from_status("the tickets", status);
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
        }
        let error = from_status("the tickets", Status::unavailable("gone"));
        assert_eq!(error.to_string(), "the tickets is unavailable");
    }

    #[test]
    fn an_answer_that_was_lost_may_have_changed_something() {
        let broken = Status::from_error(Box::from("connection reset"));
        for status in [broken, Status::deadline_exceeded("late"), Status::unavailable("draining")] {
            let error = from_status("the tickets", status);
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        }
    }

    #[test]
    fn what_is_wrong_with_the_neighbour_is_never_a_defect_of_ours() {
        let defect = from_status("the tickets", status(&Error::internal("secret")));
        assert_eq!((defect.kind(), defect.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        for (code, effect) in [
            (Code::Unauthenticated, Effect::None),
            (Code::PermissionDenied, Effect::None),
            (Code::Unimplemented, Effect::None),
            (Code::Internal, Effect::Unknown),
            (Code::Unknown, Effect::Unknown),
            (Code::DataLoss, Effect::Unknown),
        ] {
            let error = from_status("the tickets", Status::new(code, "a text"));
            assert_eq!((error.is_transient(), error.effect()), (true, effect), "{code:?}");
        }
    }

    /// A status as the server's layers make it, before or after a use case.
    fn of_the_server(code: Code, reason: &str, effect: &str) -> Status {
        let metadata = HashMap::from([("effect".to_owned(), effect.to_owned())]);
        let details = ErrorDetails::with_error_info(reason, "a.Service", metadata);
        Status::with_error_details(code, "a text", details)
    }

    #[test]
    fn a_message_that_is_too_large_is_so_the_next_time() {
        let status = of_the_server(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", "none");
        let error = from_status("the tickets", status);
        assert_eq!((error.kind(), error.reason()), (ErrorKind::InvalidArgument, "MESSAGE_TOO_LARGE"));
        let full = from_status("the tickets", of_the_server(Code::ResourceExhausted, "OVERLOADED", "none"));
        assert!(full.is_transient());
    }

    #[test]
    fn what_a_server_says_of_the_effect_counts() {
        for (text, effect) in [("none", Effect::None), ("unknown", Effect::Unknown)] {
            for code in [Code::Unavailable, Code::ResourceExhausted] {
                let error = from_status("the tickets", of_the_server(code, "A_REASON", text));
                assert_eq!(error.effect(), effect, "{code:?}");
            }
        }
    }

    const NUMBERS: [(ErrorKind, i32); 10] = [
        (ErrorKind::InvalidArgument, 3),
        (ErrorKind::NotFound, 5),
        (ErrorKind::AlreadyExists, 6),
        (ErrorKind::PermissionDenied, 7),
        (ErrorKind::ResourceExhausted, 8),
        (ErrorKind::FailedPrecondition, 9),
        (ErrorKind::Aborted, 10),
        (ErrorKind::OutOfRange, 11),
        (ErrorKind::Internal, 13),
        (ErrorKind::Unavailable, 14),
    ];

    #[test]
    fn every_kind_has_its_code_and_reason_and_the_transient_ones_a_delay() {
        for (kind, number) in NUMBERS {
            let error = Error::new(kind, "A_REASON", "a text");
            let status = status(&error);
            assert_eq!(status.code() as i32, number, "{kind:?}");
            assert_eq!(status.message(), "a text");
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), ("A_REASON", "hive"));
            assert_eq!(status.get_details_retry_info().is_some(), error.is_transient(), "{kind:?}");
            assert!(status.get_details_bad_request().is_none());
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let status = status(&Error::invalid("sla.timeout_ms", "must be positive"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let violation = status.get_details_bad_request().unwrap().field_violations.remove(0);
        assert_eq!(violation.field, "sla.timeout_ms");
        assert_eq!(violation.description, "sla.timeout_ms must be positive");
    }

    #[test]
    fn no_cause_reaches_the_wire() {
        let secret = "near \"SELECT\" in /var/lib/tickets.db";
        for error in
            [Error::internal(secret), Error::unavailable("the ticket store", secret, Effect::Unknown)]
        {
            let status = status(&error);
            let wire = format!("{} {}", status.message(), String::from_utf8_lossy(status.details()));
            assert!(!wire.contains("SELECT") && !wire.contains("/var"), "{wire}");
        }
    }
}
