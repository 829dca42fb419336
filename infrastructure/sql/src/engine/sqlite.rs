//! One SQLite file: the connection that writes, the pool that reads, the schema.

use std::path::Path;
use std::time::Duration;

use hive_application::error::{Effect, Error};
use hive_migration::MigratorTrait;
use sea_orm::SqlxSqliteConnector;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, SqlitePool};

use super::reader::Reader;
use super::slow::Slow;
use super::{Blame, Engine};
use crate::database::Config;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens or makes the file and brings its schema up to date: the pool of the one connection that writes, and everything
/// that reads. `what` names the database in errors.
pub(crate) async fn open<M: MigratorTrait>(
    what: &'static str,
    path: &Path,
    config: &Config,
) -> Result<(SqlitePool, Reader), Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let writing = options
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("cache_size", format!("-{}", config.cache_kib))
        // 32 MiB: pages that are written again and again go to the file once.
        .pragma("wal_autocheckpoint", "8000");
    let writer = pool(1).connect_with(writing).await;
    let writer = writer.map_err(|error| Error::unavailable(what, error, Effect::None))?;

    let schema = SqlxSqliteConnector::from_sqlx_sqlite_pool(writer.clone());
    hive_migration::apply::<M>(&schema)
        .await
        .map_err(|error| Error::unavailable(what, error, Effect::Unknown))?;

    let reading =
        options.pragma("query_only", "on").pragma("cache_size", format!("-{}", config.cache_kib / 4));
    let reader = pool(config.readers.max(1)).connect_lazy_with(reading);
    Ok((writer, Reader::lasting(what, Slow(config.slow), SqlxSqliteConnector::from_sqlx_sqlite_pool(reader))))
}

/// A pool whose connections live as long as it does: a file does not drop its callers.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

impl Engine for Sqlite {
    async fn roll_back(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match sqlx::query("ROLLBACK").execute(connection).await {
            Err(sqlx::Error::Database(error)) if error.message().contains("no transaction is active") => {
                Ok(())
            }
            result => result.map(drop),
        }
    }

    fn blame(error: &sqlx::Error) -> Blame {
        let of_an_operation = match error {
            sqlx::Error::Database(error) => {
                !matches!(error.kind(), sqlx::error::ErrorKind::Other) || {
                    // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE; the low byte is the primary code.
                    let code = error.code().and_then(|code| code.parse::<u32>().ok());
                    matches!(code.map(|code| code & 0xff), Some(18 | 19 | 20 | 25))
                }
            }
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
            _ => false,
        };
        if of_an_operation { Blame::Operation } else { Blame::Database }
    }

    fn keeps(_: &sqlx::Error) -> bool {
        true
    }

    async fn is_alive(_: &mut SqliteConnection, _: Duration) -> bool {
        true
    }
}
