//! Failures of the database as errors of the use cases. SQL and paths stay in the source, for the log.

use hive_application::error::{Effect, Error};
use sea_orm::DbErr;

/// A read that failed; it changed nothing.
pub(crate) fn read(what: &'static str) -> impl FnOnce(DbErr) -> Error {
    move |error| match error {
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Error::internal(error),
        error => Error::unavailable(what, error, Effect::None),
    }
}

/// A stored value that does not read back.
#[derive(Debug, thiserror::Error)]
#[error("column {column} holds {value:?}")]
pub(crate) struct Unreadable {
    column: &'static str,
    value: String,
}

/// The error for a stored value that does not read back.
pub(crate) fn unreadable(column: &'static str, value: impl Into<String>) -> Error {
    Error::internal(Unreadable { column, value: value.into() })
}

/// The writer answered something else than it was asked.
#[derive(Debug, thiserror::Error)]
#[error("the writer answered {0}")]
struct Unexpected(String);

/// The error for an answer of the wrong kind.
pub(crate) fn unexpected(answer: &impl std::fmt::Debug) -> Error {
    Error::internal(Unexpected(format!("{answer:?}")))
}
