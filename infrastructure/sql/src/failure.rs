//! Failures of the database as errors of the use cases. SQL and paths stay in the source, for the log.

use hive_application::error::{Effect, Error, ErrorKind};
use sea_orm::{DbErr, RuntimeErr};
use sqlx::postgres::PgDatabaseError;

/// What the driver said, if it did.
pub(crate) fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// A read that failed; it changed nothing.
pub(crate) fn read(what: &'static str, error: DbErr) -> Error {
    match &error {
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => Error::internal(error),
        other if cause(other).is_some_and(is_defect) => Error::internal(error),
        _ => Error::unavailable(what, error, Effect::None),
    }
}

/// As [`read`], of a file in this process.
pub(crate) fn read_near(what: &'static str, error: rusqlite::Error) -> Error {
    use rusqlite::Error as Near;
    match error {
        Near::FromSqlConversionFailure(..)
        | Near::IntegralValueOutOfRange(..)
        | Near::InvalidColumnType(..)
        | Near::ToSqlConversionFailure(_) => Error::internal(error),
        // SQLITE_ERROR: the statement does not fit.
        Near::SqliteFailure(cause, _) if cause.extended_code == 1 => Error::internal(error),
        error => Error::unavailable(what, error, Effect::None),
    }
}

/// A database that cannot be opened. What no waiting mends is `FailedPrecondition` and says so in words of ours: what the
/// server says names users and databases. All else is `Unavailable`.
pub(crate) fn open(what: &'static str, error: DbErr, effect: Effect) -> Error {
    let problem = match (cause(&error), &error) {
        (Some(cause), _) => refusal(cause),
        // A step that this program does not know: a newer one made it, or another context.
        (None, DbErr::Custom(_)) => Some("its schema is not the one of this program"),
        (None, _) => None,
    };
    match problem {
        Some(problem) => {
            let message = format!("{what} cannot be opened: {problem}");
            Error::new(ErrorKind::FailedPrecondition, "DATABASE_REFUSED", message)
        }
        None => Error::unavailable(what, error, effect),
    }
}

/// Why a server that answers will not let this program in, by what it says (its manual, appendix "Error Codes").
fn refusal(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Database(error) => match error.code()?.as_ref() {
            // invalid_authorization_specification, invalid_password
            "28000" | "28P01" => {
                Some("the server refuses the user, the password, or a connection like this one")
            }
            // invalid_catalog_name
            "3D000" => Some("the server has no such database"),
            // insufficient_privilege
            "42501" => Some("the user may not do there what it takes"),
            // invalid_schema_name: there is no schema to create anything in
            "3F000" => Some("the database has no such schema"),
            _ => None,
        },
        sqlx::Error::Tls(_) => Some("the server has no TLS, or shows a certificate that is not trusted"),
        sqlx::Error::Configuration(_) => Some("its certificates cannot be read"),
        _ => None,
    }
}

/// Whether trying again is in vain: a statement or a value that does not fit. Of what PostgreSQL says, all but lost
/// connections, missing resources, a server that is going away, and its disk.
fn is_defect(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) if error.try_downcast_ref::<PgDatabaseError>().is_some() => {
            let code = error.code().unwrap_or_default();
            !["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
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
