//! The one neutral error: what layers refuse calls with and what servicers return.
//!
//! Says what kind of failure it is, whether anything happened, and what the caller may know. How it looks on the wire
//! is [`render`]'s business; which gRPC code a kind has is [`codes`]'s.

pub mod codes;
pub mod render;

use std::{convert::Infallible, error::Error, fmt, time::Duration};

/// What went wrong, in words that belong to no protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request breaks a rule; [`Failure::violation`] names the fields.
    Invalid,
    /// What the request names does not exist.
    NotFound,
    /// What the request creates exists already.
    AlreadyExists,
    /// The request is sound, the present state does not admit it.
    FailedPrecondition,
    /// Someone else changed the same thing at the same time; start over from reading.
    Conflict,
    /// Beyond the end of a range that may grow.
    OutOfRange,
    /// Nobody could be identified.
    Unauthenticated,
    /// The caller is known and may not.
    PermissionDenied,
    /// This caller asks too often.
    RateLimited,
    /// The server is full, whoever asks.
    Overloaded,
    /// Something needed is not reachable at present.
    Unavailable,
    /// The caller's time was up before the answer was there.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// The server has no such method.
    Unimplemented,
    /// Data is lost or corrupt.
    DataLoss,
    /// A bug or an unknown cause; the caller learns a fixed text.
    Internal,
}

/// Whether the call certainly changed nothing. Retrying is decided from this, not from the code alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certainly nothing happened: safe to send again, even for a call that is not idempotent.
    None,
    /// Something may have happened.
    Unknown,
}

/// One field that breaks a rule: its dotted path in the request and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted path, for instance `item.price_cents`.
    pub field: String,
    /// One sentence.
    pub description: String,
}

/// A failed call: a kind, a text for the caller, and what else the caller can use.
///
/// The cause given to [`Failure::caused_by`] is for the log and never leaves the process; kinds that stand for an
/// unknown cause send a fixed text whatever their message is. One word wide, so that `Result`s stay small.
pub struct Failure(Box<Inner>);

struct Inner {
    kind: Kind,
    effect: Effect,
    reason: &'static str,
    message: String,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind, with its default reason, and [`Effect::Unknown`].
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            effect: Effect::Unknown,
            reason: codes::reason(kind),
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// An unknown cause: logged, and answered with a fixed text.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, codes::FIXED_TEXT).caused_by(cause)
    }

    /// What a status says, apart from its details.
    pub(crate) fn of_status(status: &tonic::Status) -> Self {
        Self::new(codes::kind(status.code()).unwrap_or(Kind::Internal), status.message())
    }

    /// A request that breaks the rule of one field, named by its dotted path.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let description = description.into();
        let field = field.into();
        Self::new(Kind::Invalid, format!("{field}: {description}")).violation(field, description).untouched()
    }

    /// The stable reason code of `google.rpc.ErrorInfo`, upper case with underscores.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = reason;
        self
    }

    /// Adds a field that breaks a rule.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.violations.push(Violation { field: field.into(), description: description.into() });
        self
    }

    /// Tells the caller not to come back sooner.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// States that certainly nothing happened.
    #[must_use]
    pub fn untouched(mut self) -> Self {
        self.0.effect = Effect::None;
        self
    }

    /// The cause, for the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether the call certainly changed nothing.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The stable reason code.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// What the caller reads: the message, or the fixed text for a kind that hides its cause.
    pub fn public_message(&self) -> &str {
        if codes::hides_cause(self.0.kind) { codes::FIXED_TEXT } else { &self.0.message }
    }

    /// The fields that break a rule.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The earliest time to come back, from now.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The message and every cause below it, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public_message())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.0.kind)
            .field("reason", &self.0.reason)
            .field("chain", &self.chain())
            .finish()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_kind_never_shows_its_cause() {
        let failure = Failure::internal(std::io::Error::other("/var/lib/secret is missing"));
        assert_eq!(failure.to_string(), codes::FIXED_TEXT);
        assert_eq!(failure.chain(), "internal error: /var/lib/secret is missing");
    }

    #[test]
    fn an_invalid_field_is_named_and_changes_nothing() {
        let failure = Failure::invalid("item.sku", "must not be empty");
        assert_eq!(failure.effect(), Effect::None);
        assert_eq!(failure.violations()[0].field, "item.sku");
        assert_eq!(failure.to_string(), "item.sku: must not be empty");
    }
}
