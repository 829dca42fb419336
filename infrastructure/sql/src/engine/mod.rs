//! The database engines: how each is opened, and what the writer must know of it.

pub(crate) mod horizon;
pub(crate) mod near;
pub(crate) mod postgres;
pub(crate) mod pruning;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod slow;
pub(crate) mod sqlite;

use std::time::Duration;

/// What the writer must know of an engine.
pub(crate) trait Engine: sqlx::Database {
    /// Leaves the open transaction, if there is one. Some failures have left it already.
    fn roll_back(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// What to do about a failure that undid everything.
    fn blame(error: &sqlx::Error) -> Blame;

    /// Whether a connection is worth keeping after a failure, once its transaction is undone.
    fn keeps(error: &sqlx::Error) -> bool;

    /// Whether a connection that was not used for that long still is one.
    fn is_alive(connection: &mut Self::Connection, idle: Duration) -> impl Future<Output = bool> + Send;
}

/// Who is to blame for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Perhaps one of the operations.
    Operation,
    /// Another process that did the same at the same time; the same again may well succeed.
    Neighbour,
    /// Perhaps that there was so much at once: it took too long.
    Size,
    /// The database or its disk.
    Database,
}
