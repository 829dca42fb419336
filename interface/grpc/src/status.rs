//! The one table from the errors of use cases to gRPC.

use std::collections::HashMap;
use std::time::Duration;

use hive_application::error::{Error, ErrorKind, chain};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Who names the reasons in `google.rpc.ErrorInfo`.
pub const ERROR_DOMAIN: &str = "hive";

/// The gRPC code of a kind of error.
pub const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
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
        | ErrorKind::Aborted
        | ErrorKind::PermissionDenied
        | ErrorKind::ResourceExhausted => {}
    }
    let message = error.to_string();
    let mut details = ErrorDetails::with_error_info(error.reason(), ERROR_DOMAIN, HashMap::new());
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

#[cfg(test)]
mod tests {
    use hive_application::error::Effect;

    use super::*;

    const KINDS: [(ErrorKind, i32); 9] = [
        (ErrorKind::InvalidArgument, 3),
        (ErrorKind::NotFound, 5),
        (ErrorKind::AlreadyExists, 6),
        (ErrorKind::PermissionDenied, 7),
        (ErrorKind::ResourceExhausted, 8),
        (ErrorKind::FailedPrecondition, 9),
        (ErrorKind::Aborted, 10),
        (ErrorKind::Internal, 13),
        (ErrorKind::Unavailable, 14),
    ];

    #[test]
    fn every_kind_has_its_code_and_reason_and_the_transient_ones_a_delay() {
        for (kind, number) in KINDS {
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
