//! Reading: queries bounded in time, whose failures are told as errors of the use cases.
//!
//! A pool knows nothing of what happens on the connections it lends. A server may answer for ever with the same refusal,
//! since it is not what it was or has forgotten what was prepared. [`Care`] remembers when that was met, and the pool asks
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hive_application::error::{Effect, Error};
use sea_orm::{DatabaseConnection, DbErr};
use sqlx::Postgres;

use super::Engine;
use crate::failure;

/// How long a query may take: longer than the server lets a statement run.
const ANSWER: Duration = Duration::from_secs(15);

/// What was met on the connections of a pool.
#[derive(Debug)]
pub(crate) struct Care {
    begun: Instant,
    /// When a connection gave an answer that another one might not give: milliseconds, 0 for never.
    spoilt: AtomicU64,
}

impl Care {
    pub(crate) fn new() -> Self {
        Care { begun: Instant::now(), spoilt: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Connections that are open now are not to be lent again.
    fn spoil(&self) {
        self.spoilt.store(self.now(), Ordering::Relaxed);
    }

    /// Whether a connection of that age is not to be lent again.
    pub(crate) fn is_spoilt(&self, age: Duration) -> bool {
        let spoilt = self.spoilt.load(Ordering::Relaxed);
        let opened = self.now().saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        spoilt != 0 && opened <= spoilt
    }
}

/// Connections that read.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    what: &'static str,
    database: DatabaseConnection,
    care: Option<Arc<Care>>,
}

impl Reader {
    /// `what` names the database in errors. An engine in this process needs no care.
    pub(crate) fn new(what: &'static str, database: DatabaseConnection, care: Option<Arc<Care>>) -> Self {
        Reader { what, database, care }
    }

    /// What queries are made on.
    pub(crate) fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// Waits for the answer to a query, but not for ever.
    pub(crate) async fn answer<T>(&self, query: impl Future<Output = Result<T, DbErr>>) -> Result<T, Error> {
        self.answer_within(ANSWER, query).await
    }

    /// Waits for the answer to a query for so long.
    pub(crate) async fn answer_within<T>(
        &self,
        limit: Duration,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, Error> {
        let Ok(answer) = tokio::time::timeout(limit, query).await else {
            return Err(Error::unavailable(self.what, "the database does not answer", Effect::None));
        };
        answer.map_err(|error| {
            if let (Some(care), Some(sqlx::Error::Database(_))) = (&self.care, failure::cause(&error))
                && failure::cause(&error).is_some_and(|cause| !Postgres::keeps(cause))
            {
                care.spoil();
            }
            failure::read(self.what, error)
        })
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.answer(self.database.close_by_ref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_before_is_spoilt() {
        let care = Care::new();
        assert!(!care.is_spoilt(Duration::ZERO), "nothing was met");
        care.spoil();
        assert!(care.is_spoilt(Duration::from_secs(1)));
    }
}
