//! One PostgreSQL database: the connection that writes, the pool that reads, the schema.

use std::sync::Arc;
use std::time::Duration;

use hive_application::error::{Effect, Error};
use hive_migration::MigratorTrait;
use sea_orm::{DbErr, RuntimeErr, SqlxPostgresConnector};
use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgDatabaseError, PgListener, PgPoolOptions, PgSeverity,
};
use sqlx::{ConnectOptions, Connection, Executor, PgPool, Postgres};

use super::reader::Reader;
use super::slow::Slow;
use super::{Blame, Engine};
use crate::database::{Config, Server};
use crate::failure;
use crate::writer::Failure;

/// How long a call waits for a connection: while the server is away, calls fail after that and do not hang.
const ACQUIRE: Duration = Duration::from_secs(1);

/// Ends a statement on the server.
const STATEMENT: &str = "10s";

/// How long the writer waits for an answer: longer than the server lets a statement run.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a process waits for another one that brings the schema up to date.
const SCHEMA: &str = "60s";

/// How long a reader of old records waits for a page, for a connection first: they queue for a few. It is a page by an
/// index, and whoever follows a log asks again.
const PAGE: Duration = Duration::from_secs(5);

/// Ends the statement of such a page on the server.
const PAGE_STATEMENT: &str = "4s";

/// Connections for those who read old records, so that whoever follows from far behind takes none from other readers.
const BEHIND: u32 = 2;

/// A connection that reads is closed after that long without use.
const IDLE: Duration = Duration::from_secs(300);

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
    pub(crate) reader: Reader,
}

/// The connections of one who follows an outbox.
#[derive(Debug)]
pub(crate) struct Following {
    /// One, to look at its end.
    pub(crate) end: Reader,
    /// A few, for what lies before.
    pub(crate) behind: Reader,
    /// To hear of commits.
    pub(crate) listener: PgConnectOptions,
}

/// How to connect, limits aside.
fn connect(server: &Server) -> PgConnectOptions {
    // Compiling a statement takes longer than any of ours runs.
    let settings = [("jit", "off"), ("idle_in_transaction_session_timeout", STATEMENT)];
    // Slow statements are told by us, and never by their text.
    let options = server.options.as_ref().clone().options(settings).disable_statement_logging();
    match options.get_application_name() {
        None => options.application_name("hive"),
        Some(_) => options,
    }
}

/// Brings the schema of the database up to date, and makes the pools. `rebase` runs first, and on every new connection
/// that writes. `what` names the database in errors.
pub(crate) async fn open<M: MigratorTrait>(
    what: &'static str,
    server: &Server,
    config: &Config,
    rebase: Option<&'static str>,
) -> Result<Pools, Error> {
    let options = connect(server);
    migrate::<M>(what, options.clone(), rebase).await?;
    let options = options.options([("statement_timeout", STATEMENT)]);
    // Batches look for rows by number. A plan made while the table was small must not scan it when it is large.
    let writing = options.clone().options([("enable_seqscan", "off")]);
    let writer = pool(1, config.acquire).idle_timeout(None).after_connect(move |connection, _| {
        Box::pin(async move {
            if let Some(rebase) = rebase {
                // Fails on a standby too, which is not to be written to.
                connection.execute(rebase).await?;
            }
            Ok(())
        })
    });
    Ok(Pools {
        writer: writer.connect_lazy_with(writing),
        reader: reader(what, Slow(config.slow), config.readers.max(1), config.acquire, options),
    })
}

/// What it takes to follow the outbox of an open database.
pub(crate) fn following(what: &'static str, server: &Server, config: &Config) -> Following {
    let slow = Slow(config.slow);
    let options = connect(server).options([("statement_timeout", STATEMENT)]);
    Following {
        end: reader(what, slow, 1, ACQUIRE, options.clone()),
        behind: reader(
            what,
            slow,
            BEHIND,
            PAGE,
            options.clone().options([("statement_timeout", PAGE_STATEMENT)]),
        )
        .within(PAGE),
        listener: options,
    }
}

/// One process at a time: the second one finds everything done.
async fn migrate<M: MigratorTrait>(
    what: &'static str,
    options: PgConnectOptions,
    rebase: Option<&'static str>,
) -> Result<(), Error> {
    let absent =
        |error| failure::open(what, DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))), Effect::None);
    // A step takes as long as it takes: what it rewrites or indexes may be large. But nobody waits for ever for another.
    let options = options.options([("statement_timeout", "0"), ("lock_timeout", SCHEMA)]);
    // The lock has a connection of its own, so that a step that breaks its own does not let others in.
    let lock = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(&options)).await;
    let mut lock = lock.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(absent)?;
    let query = sqlx::query("SELECT pg_advisory_lock($1)").bind(SCHEMA_LOCK);
    query.execute(&mut lock).await.map_err(absent)?;
    let pool = pool(1, ACQUIRE).connect_lazy_with(options);
    let schema = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
    let applied = hive_migration::apply::<M>(&schema).await;
    applied.map_err(|error| failure::open(what, error, Effect::Unknown))?;
    if let Some(rebase) = rebase {
        pool.execute(rebase).await.map_err(absent)?;
    }
    pool.close().await;
    // Lets go of the lock, as it does however this ends.
    lock.close().await.map_err(absent)
}

fn reader(
    what: &'static str,
    slow: Slow,
    connections: u32,
    acquire: Duration,
    options: PgConnectOptions,
) -> Reader {
    Reader::renewable(what, slow, move |care| {
        let lending = Arc::clone(care);
        let pool = pool(connections, acquire).idle_timeout(IDLE).before_acquire(move |connection, known| {
            let spoilt = lending.is_spoilt(known.age);
            Box::pin(async move {
                if spoilt || Postgres::is_alive(connection, known.idle_for).await {
                    return Ok(!spoilt);
                }
                // Not a mere no: the pool would take leave of it in good form.
                Err(sqlx::Error::PoolTimedOut)
            })
        });
        SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options.clone()))
    })
}

/// Connections that live until they are not used or do not answer.
fn pool(connections: u32, acquire: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(acquire)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// A connection that hears what `channel` tells.
pub(crate) async fn listen(options: &PgConnectOptions, channel: &str) -> Result<PgListener, sqlx::Error> {
    // A pool of its own each time: one that lost its connection would wait for it.
    let pool = pool(1, ACQUIRE).connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    let listening = tokio::time::timeout(ACQUIRE, listener.listen(channel)).await;
    listening.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(listener)
}

/// Waits for a notification, or until the connection is lost, which is `None`. After `silence` the connection must show
/// that it lives: a host that vanished does not say so.
pub(crate) async fn notified(
    listener: &mut PgListener,
    silence: Duration,
) -> Result<Option<()>, sqlx::Error> {
    loop {
        if let Ok(heard) = tokio::time::timeout(silence, listener.try_recv()).await {
            return heard.map(|heard| heard.map(drop));
        }
        let answer = tokio::time::timeout(ACQUIRE, listener.execute("SELECT 1")).await;
        answer.map_err(|_| sqlx::Error::PoolTimedOut)??;
    }
}

/// Whether a connection answers.
async fn answers(connection: &mut PgConnection) -> bool {
    matches!(tokio::time::timeout(ACQUIRE, connection.ping()).await, Ok(Ok(())))
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
        idle < QUIET || answers(connection).await
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

/// Waits for answers, but not for ever.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Waits for the answer to a statement within a transaction.
pub(crate) async fn answered<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failure> {
    in_time(statement).await.map_err(Failure::Before)
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
