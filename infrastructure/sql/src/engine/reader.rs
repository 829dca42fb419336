//! Reading: queries bounded in time, whose failures are told as errors of the use cases.
//!
//! A host that vanished without a word leaves connections that never answer again, and a pool waits for ever for those
//! that are handed back. So a pool that does not answer in time is replaced by a new one.
//!
//! A pool knows nothing of what happens on the connections it lends. A server may answer for ever with the same refusal,
//! since it is not what it was or has forgotten what was prepared. [`Care`] remembers when that was met, and the pool asks
//! it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hive_application::error::{Effect, Error};
use sea_orm::{ConnAcquireErr, DatabaseConnection, DbErr};
use sqlx::Postgres;

use super::Engine;
use super::slow::{Rows, Slow};
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
#[derive(Clone)]
pub(crate) struct Reader {
    what: &'static str,
    slow: Slow,
    /// How long a query may take.
    limit: Duration,
    care: Arc<Care>,
    pool: Arc<Mutex<Pool>>,
    make: Option<Make>,
}

/// Makes a pool.
type Make = Arc<dyn Fn(&Arc<Care>) -> DatabaseConnection + Send + Sync>;

struct Pool {
    database: DatabaseConnection,
    /// When it took the place of another.
    renewed: Option<Instant>,
}

impl Reader {
    /// Reads from an engine in this process. `what` names the database in errors.
    pub(crate) fn lasting(what: &'static str, slow: Slow, database: DatabaseConnection) -> Self {
        let pool = Arc::new(Mutex::new(Pool { database, renewed: None }));
        Reader { what, slow, limit: ANSWER, care: Arc::new(Care::new()), pool, make: None }
    }

    /// Reads from a server, through a pool that `make` makes, again and again.
    pub(crate) fn renewable(
        what: &'static str,
        slow: Slow,
        make: impl Fn(&Arc<Care>) -> DatabaseConnection + Send + Sync + 'static,
    ) -> Self {
        let care = Arc::new(Care::new());
        let pool = Arc::new(Mutex::new(Pool { database: make(&care), renewed: None }));
        Reader { what, slow, limit: ANSWER, care, pool, make: Some(Arc::new(make)) }
    }

    /// The same, where no query may take longer than that: a host that vanished is noticed as soon.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Reader { limit, ..self }
    }

    /// What queries are made on.
    pub(crate) fn database(&self) -> DatabaseConnection {
        self.pool().database.clone()
    }

    /// Replaces the pool, though not all the time: it may only be busy, and its connections are those of the server.
    fn renew(&self) {
        let Some(make) = &self.make else { return };
        let mut pool = self.pool();
        if pool.renewed.is_some_and(|renewed| renewed.elapsed() < self.limit) {
            return;
        }
        pool.renewed = Some(Instant::now());
        let old = std::mem::replace(&mut pool.database, make(&self.care));
        // Closes what is handed back from now on; what is not is left to the system.
        tokio::spawn(async move { tokio::time::timeout(ANSWER, old.close_by_ref()).await.map(drop) });
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Every change is complete before anything can panic.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the answer to a query, but not for ever.
    pub(crate) async fn answer<T: Rows>(
        &self,
        name: &'static str,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, Error> {
        self.answer_within(self.limit, name, query).await
    }

    /// Waits for the answer to a query for so long. It is told by its name when it was slow: its text may hold what is
    /// nobody's business.
    pub(crate) async fn answer_within<T: Rows>(
        &self,
        limit: Duration,
        name: &'static str,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let answer = self.bounded(limit, query).await;
        let rows = answer.as_ref().map_or(0, Rows::rows);
        self.slow.tell(self.what, name, begun.elapsed(), rows);
        answer
    }

    async fn bounded<T>(
        &self,
        limit: Duration,
        query: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, Error> {
        let Ok(answer) = tokio::time::timeout(limit, query).await else {
            self.renew();
            return Err(Error::unavailable(self.what, "the database does not answer", Effect::None));
        };
        answer.map_err(|error| {
            match failure::cause(&error) {
                Some(cause @ sqlx::Error::Database(_)) if !Postgres::keeps(cause) => self.care.spoil(),
                Some(sqlx::Error::PoolTimedOut) => self.renew(),
                None if matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) => self.renew(),
                _ => {}
            }
            failure::read(self.what, error)
        })
    }

    /// Closes the connections.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.bounded(ANSWER, self.database().close_by_ref()).await
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("what", &self.what).finish_non_exhaustive()
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
