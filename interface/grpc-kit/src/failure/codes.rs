//! The closed table of kinds, gRPC codes and reasons. Every match names every case, so a new kind does not compile
//! until its code is decided.

use tonic::Code;

use super::{Effect, Kind};

/// What a caller reads when the cause is none of its business.
pub const FIXED_TEXT: &str = "internal error";

/// How many codes gRPC has.
pub const CODES: usize = 17;

/// The gRPC code of a kind.
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::OutOfRange => Code::OutOfRange,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::RateLimited | Kind::Overloaded => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Cancelled => Code::Cancelled,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

/// The kind a received code stands for; `None` for OK.
pub fn kind(code: Code) -> Option<Kind> {
    Some(match code {
        Code::Ok => return None,
        Code::InvalidArgument => Kind::Invalid,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition => Kind::FailedPrecondition,
        Code::Aborted => Kind::Conflict,
        Code::OutOfRange => Kind::OutOfRange,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::ResourceExhausted => Kind::Overloaded,
        Code::Unavailable => Kind::Unavailable,
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        Code::Cancelled => Kind::Cancelled,
        Code::Unimplemented => Kind::Unimplemented,
        Code::DataLoss => Kind::DataLoss,
        Code::Internal | Code::Unknown => Kind::Internal,
    })
}

/// The reason a failure carries unless it names a better one.
pub fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "INVALID_REQUEST",
        Kind::NotFound => "NOT_FOUND",
        Kind::AlreadyExists => "ALREADY_EXISTS",
        Kind::FailedPrecondition => "FAILED_PRECONDITION",
        Kind::Conflict => "CONCURRENT_CHANGE",
        Kind::OutOfRange => "OUT_OF_RANGE",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::PermissionDenied => "PERMISSION_DENIED",
        Kind::RateLimited => "RATE_LIMITED",
        Kind::Overloaded => "OVERLOADED",
        Kind::Unavailable => "UNAVAILABLE",
        Kind::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Kind::Cancelled => "CANCELLED",
        Kind::Unimplemented => "UNIMPLEMENTED",
        Kind::DataLoss => "DATA_LOSS",
        Kind::Internal => "INTERNAL",
    }
}

/// Whether the caller reads [`FIXED_TEXT`] instead of the message.
pub fn hides_cause(kind: Kind) -> bool {
    matches!(kind, Kind::Internal | Kind::DataLoss)
}

/// The word for an effect in the error's metadata.
pub fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "none",
        Effect::Unknown => "unknown",
    }
}

/// The upper-case name of a code, as metrics and logs write it.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Every code, in the order of its number.
pub fn all() -> impl Iterator<Item = Code> {
    (0..CODES as i32).map(Code::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_ok_and_unknown_survives_the_round_trip() {
        for given in all() {
            match kind(given) {
                None => assert_eq!(given, Code::Ok),
                Some(kind) if given == Code::Unknown => assert_eq!(code(kind), Code::Internal),
                Some(kind) => assert_eq!(code(kind), given),
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> = all().map(name).collect();
        assert_eq!(names.len(), CODES);
    }
}
