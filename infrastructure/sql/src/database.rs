//! One SQLite file: the connection that writes, the pool that reads, the schema.

use std::path::PathBuf;
use std::time::Duration;

use hive_application::error::{Effect, Error};
use hive_migration::MigratorTrait;
use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// Where a database lies and how much it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file; made when it is not there. One process at a time.
    pub path: PathBuf,
    /// Connections that read, at least 1.
    pub readers: u32,
    /// Writes that may wait; a caller beyond that waits to queue.
    pub queue: usize,
    /// Writes committed together at most.
    pub batch: usize,
    /// KiB of pages that the writing connection keeps; each reading one keeps a quarter.
    pub cache_kib: u32,
    /// Tickets whose newest version is kept in memory.
    pub hot_tickets: usize,
    /// Changes at the end of the ticket log that are kept in memory.
    pub log_tail: usize,
}

impl Config {
    /// The defaults for the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Config {
            path: path.into(),
            readers: 2,
            queue: 4_096,
            batch: 256,
            cache_kib: 8_192,
            hot_tickets: 8_192,
            log_tail: 8_192,
        }
    }
}

/// The pools on one file, with its schema in place.
#[derive(Debug)]
pub(crate) struct Database {
    /// Holds exactly one connection, for the writer.
    pub(crate) writer: SqlitePool,
    /// Everything that reads.
    pub(crate) reader: DatabaseConnection,
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Database {
    /// Opens or makes the file and brings its schema up to date. `what` names the database in errors.
    pub(crate) async fn open<M: MigratorTrait>(what: &'static str, config: &Config) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(&config.path)
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("temp_store", "memory");
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("cache_size", format!("-{}", config.cache_kib))
            .pragma("wal_autocheckpoint", "4000");
        let writer = pool(1).connect_with(writing).await;
        let writer = writer.map_err(|error| Error::unavailable(what, error, Effect::None))?;

        let schema = SqlxSqliteConnector::from_sqlx_sqlite_pool(writer.clone());
        hive_migration::apply::<M>(&schema)
            .await
            .map_err(|error| Error::unavailable(what, error, Effect::Unknown))?;

        let reading =
            options.pragma("query_only", "on").pragma("cache_size", format!("-{}", config.cache_kib / 4));
        let reader = pool(config.readers.max(1)).connect_lazy_with(reading);
        Ok(Database { writer, reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader) })
    }
}

/// A pool whose connections live as long as it does: a file does not drop its callers.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}
