//! The one error of the use cases: what kind, why in a stable word, and whether something may have happened.

use std::error::Error as StdError;
use std::fmt;

use hive_domain::ids::IdError;
use hive_domain::tickets::TicketError;

/// What went wrong, in the vocabulary every protocol maps from. Closed: a new kind is a change of every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller sent something that can never work.
    InvalidArgument,
    /// What the caller names does not exist.
    NotFound,
    /// What the caller creates exists with other content.
    AlreadyExists,
    /// The thing is not in a state that allows the request.
    FailedPrecondition,
    /// What the caller asks to go on from is not kept any more.
    OutOfRange,
    /// Somebody else changed the thing at the same time; trying again may help.
    Aborted,
    /// The caller may not do this.
    PermissionDenied,
    /// A limit or a queue is full; trying later may help.
    ResourceExhausted,
    /// Something needed is not reachable; trying later may help.
    Unavailable,
    /// A defect of ours.
    Internal,
}

/// Whether a failed write may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It certainly did not.
    None,
    /// It may have.
    Unknown,
}

/// A failed use case. `Display` is fit for callers: it never holds SQL, paths or secrets; the cause is in `source`.
pub struct Error {
    kind: ErrorKind,
    reason: &'static str,
    message: String,
    field: Option<String>,
    effect: Effect,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that certainly changed nothing.
    pub fn new(kind: ErrorKind, reason: &'static str, message: impl Into<String>) -> Self {
        Error { kind, reason, message: message.into(), field: None, effect: Effect::None, source: None }
    }

    /// A field of the request is wrong.
    pub fn invalid(field: impl Into<String>, problem: impl fmt::Display) -> Self {
        let field = field.into();
        let message = format!("{field} {problem}");
        Error { field: Some(field), ..Error::new(ErrorKind::InvalidArgument, "INVALID_FIELD", message) }
    }

    /// The thing does not exist.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Error::new(ErrorKind::NotFound, "NOT_FOUND", format!("{what} {id} not found"))
    }

    /// An error that another process told of: the field it names, and whether the write may have happened there.
    pub fn told(
        kind: ErrorKind,
        reason: &'static str,
        message: impl Into<String>,
        field: Option<String>,
        effect: Effect,
    ) -> Self {
        Error { field, effect, ..Error::new(kind, reason, message) }
    }

    /// A dependency is not reachable. What it was is in the source, for the log.
    pub fn unavailable(
        what: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
        effect: Effect,
    ) -> Self {
        let error = Error::new(ErrorKind::Unavailable, "UNAVAILABLE", format!("{what} is unavailable"));
        Error { effect, source: Some(source.into()), ..error }
    }

    /// A defect. What it was is in the source, for the log.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Error::new(ErrorKind::Internal, "INTERNAL", "internal error");
        Error { effect: Effect::Unknown, source: Some(source.into()), ..error }
    }

    /// The same error, where something else of the same request has happened already.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Error { effect: Effect::Unknown, ..self }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable word for it.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The field of the request that is wrong.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// Whether a write may have happened.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Aborted | ErrorKind::ResourceExhausted | ErrorKind::Unavailable => true,
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::FailedPrecondition
            | ErrorKind::OutOfRange
            | ErrorKind::PermissionDenied
            | ErrorKind::Internal => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("reason", &self.reason)
            .field("message", &self.message)
            .field("effect", &self.effect)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<TicketError> for Error {
    fn from(error: TicketError) -> Self {
        let message = error.to_string();
        match error {
            TicketError::InvalidTransition { .. } => {
                Error::new(ErrorKind::FailedPrecondition, "INVALID_TRANSITION", message)
            }
            TicketError::RetriesExhausted { .. } => {
                Error::new(ErrorKind::FailedPrecondition, "RETRIES_EXHAUSTED", message)
            }
            TicketError::NotYours { .. } => Error::new(ErrorKind::FailedPrecondition, "NOT_YOURS", message),
            TicketError::StaleEpoch { .. } => {
                Error::new(ErrorKind::FailedPrecondition, "STALE_EPOCH", message)
            }
            TicketError::InvalidField { field, problem } => Error::invalid(field, problem),
        }
    }
}

/// Names the field of a refused identifier.
pub fn invalid_id(field: &'static str) -> impl FnOnce(IdError) -> Error {
    move |error| Error::invalid(field, error)
}

/// The whole chain of causes in one line, for logs only.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_keeps_the_cause_for_the_log() {
        let error = Error::unavailable("the ticket store", "disk I/O error near SELECT", Effect::Unknown);
        assert_eq!(error.to_string(), "the ticket store is unavailable");
        assert_eq!(chain(&error), "the ticket store is unavailable: disk I/O error near SELECT");
        assert!(error.is_transient());
    }
}
