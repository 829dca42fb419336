//! One PostgreSQL database: the connection that writes, the pool that reads, the schema.

use std::time::Duration;

use hive_application::error::{Effect, Error};
use hive_migration::MigratorTrait;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgPoolOptions, PgSeverity};
use sqlx::{Connection, Executor, PgPool, Postgres};

use super::{Blame, Engine};
use crate::database::{Config, Server};
use crate::writer::Failure;

/// How long a call waits for a connection: while the server is away, calls fail after that and do not hang.
const ACQUIRE: Duration = Duration::from_secs(1);

/// Ends a statement on the server.
const STATEMENT: &str = "10s";

/// How long the writer waits for an answer: longer than the server lets a statement run.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a process waits for another one that brings the schema up to date.
const SCHEMA: &str = "60s";

/// A connection that was not used for that long is asked for a sign of life first. One in constant use shows by its
/// answers that it lives, and asking it before each call would cost a tenth of its throughput.
const QUIET: Duration = Duration::from_millis(100);

/// Names the lock under which schemas change: "hive" in ASCII.
const SCHEMA_LOCK: i64 = 0x6869_7665;

/// The open pools.
#[derive(Debug)]
pub(crate) struct Pools {
    /// Holds exactly one connection, for the writer.
    pub(crate) writer: PgPool,
    /// Everything that reads.
    pub(crate) reader: DatabaseConnection,
    /// The same, without sea-orm.
    pub(crate) read: PgPool,
    /// Holds at most one connection, which hears of commits.
    pub(crate) listener: PgPool,
}

/// Brings the schema of the database up to date, runs `prepare` there, and makes the pools. `what` names the database
/// in errors.
pub(crate) async fn open<M: MigratorTrait>(
    what: &'static str,
    server: &Server,
    config: &Config,
    prepare: Option<&'static str>,
) -> Result<Pools, Error> {
    // Compiling a statement takes longer than any of ours runs.
    let settings = [("jit", "off"), ("idle_in_transaction_session_timeout", STATEMENT)];
    let options = server.options.as_ref().clone().options(settings);
    let options = match options.get_application_name() {
        None => options.application_name("hive"),
        Some(_) => options,
    };
    migrate::<M>(what, options.clone().options([("statement_timeout", SCHEMA)]), prepare).await?;

    let options = options.options([("statement_timeout", STATEMENT)]);
    // Batches look for rows by number. A plan made while the table was small must not scan it when it is large.
    let writing = options.clone().options([("enable_seqscan", "off")]);
    let read = pool(config.readers.max(1)).connect_lazy_with(options.clone());
    Ok(Pools {
        writer: pool(1).connect_lazy_with(writing),
        reader: SqlxPostgresConnector::from_sqlx_postgres_pool(read.clone()),
        read,
        listener: pool(1).connect_lazy_with(options),
    })
}

/// One process at a time: the second one finds everything done.
async fn migrate<M: MigratorTrait>(
    what: &'static str,
    options: PgConnectOptions,
    prepare: Option<&'static str>,
) -> Result<(), Error> {
    let pool = pool(1).connect_with(options).await;
    let pool = pool.map_err(|error| Error::unavailable(what, error, Effect::None))?;
    let locked = pool.execute(sqlx::query("SELECT pg_advisory_lock($1)").bind(SCHEMA_LOCK)).await;
    locked.map_err(|error| Error::unavailable(what, error, Effect::None))?;
    let schema = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    let applied = hive_migration::apply::<M>(&schema).await;
    applied.map_err(|error| Error::unavailable(what, error, Effect::Unknown))?;
    if let Some(prepare) = prepare {
        let prepared = pool.execute(prepare).await;
        prepared.map_err(|error| Error::unavailable(what, error, Effect::Unknown))?;
    }
    // Closing the connection lets go of the lock.
    pool.close().await;
    Ok(())
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move { Ok(Postgres::is_alive(connection, known.idle_for).await) })
        })
}

impl Engine for Postgres {
    async fn roll_back(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // Outside a transaction that is a warning.
        let rolled_back = tokio::time::timeout(ACQUIRE, connection.execute("ROLLBACK")).await;
        rolled_back.map_err(|_| sqlx::Error::PoolTimedOut)?.map(drop)
    }

    fn blame(error: &sqlx::Error) -> Blame {
        match error {
            sqlx::Error::Database(error) => match error.code().as_deref().unwrap_or_default() {
                // serialization_failure, deadlock_detected
                "40001" | "40P01" => Blame::Neighbour,
                // query_canceled, which is what the time limit does
                "57014" => Blame::Size,
                // Data exceptions, violated constraints, program limits, and what a trigger raises.
                code if ["22", "23", "54", "P0"].iter().any(|class| code.starts_with(class)) => {
                    Blame::Operation
                }
                _ => Blame::Database,
            },
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                Blame::Operation
            }
            _ => Blame::Database,
        }
    }

    /// One that answers and refuses, for what it has become (read-only, say) or has forgotten, would do so for ever.
    fn keeps(error: &sqlx::Error) -> bool {
        Postgres::blame(error) != Blame::Database
    }

    async fn is_alive(connection: &mut PgConnection, idle: Duration) -> bool {
        idle < QUIET || matches!(tokio::time::timeout(ACQUIRE, connection.ping()).await, Ok(Ok(())))
    }
}

/// Waits for the answer to a statement that commits on its own, and tells what its failure left: the server undoes a
/// statement that it refuses, and whoever loses the server does not know what it did.
pub(crate) async fn committed<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER, statement).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_refusal(&error) => Err(Failure::Before(error)),
        Ok(Err(error)) => Err(Failure::Commit(error)),
        Err(_) => Err(Failure::Commit(sqlx::Error::PoolTimedOut)),
    }
}

/// Waits for the answer to a statement within a transaction.
pub(crate) async fn answered<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER, statement).await {
        Ok(answer) => answer.map_err(Failure::Before),
        Err(_) => Err(Failure::Before(sqlx::Error::PoolTimedOut)),
    }
}

/// Whether the server, living on, refused the statement.
fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let error = error.try_downcast_ref::<PgDatabaseError>();
            error.is_some_and(|error| error.severity() == PgSeverity::Error)
        }
        sqlx::Error::Encode(_) => true,
        _ => false,
    }
}
