//! What one process at a time may do with a database that several share.

use std::time::Duration;

use hive_application::error::{Effect, Error};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use crate::database::Server;

/// Time between two looks at the connection that holds the right. One that breaks ends the right on the server.
const LOOK: Duration = Duration::from_secs(1);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The right to do something alone, of all processes on a database, or on a schema of one. It is a session's lock of the
/// server: it ends with its connection, so with the process as well.
#[derive(Debug)]
pub struct Exclusive {
    what: &'static str,
    connection: PgConnection,
}

impl Exclusive {
    /// How long after the end of a right the one who had it may not have noticed yet.
    pub const NOTICE: Duration = Duration::from_secs(4);

    /// Takes the right to do `what`, which names it for good; none when another process has it. `Unavailable` when the
    /// server is away.
    pub async fn take(server: &Server, what: &'static str) -> Result<Option<Self>, Error> {
        let failed = |error: sqlx::Error| Error::unavailable(what, error, Effect::None);
        let late = |_| Error::unavailable(what, "the server does not answer", Effect::None);
        let options = server.options.as_ref();
        let options = match options.get_application_name() {
            None => options.clone().application_name("hive"),
            Some(_) => options.clone(),
        };
        let taking = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let sql = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' ' || $1, 0))";
            let taken = sqlx::query_scalar::<_, bool>(sql).bind(what).fetch_one(&mut connection).await?;
            Ok(taken.then_some(connection))
        };
        let connection = timeout(ANSWER, taking).await.map_err(late)?.map_err(failed)?;
        Ok(connection.map(|connection| Exclusive { what, connection }))
    }

    /// Returns when the right is lost, at most 3 s after.
    pub async fn lost(&mut self) -> Error {
        loop {
            tokio::time::sleep(LOOK).await;
            match timeout(ANSWER, self.connection.execute("SELECT 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Error::unavailable(self.what, error, Effect::None),
                Err(_) => {
                    return Error::unavailable(self.what, "the server does not answer", Effect::None);
                }
            }
        }
    }
}
