//! How far an outbox on PostgreSQL can be read, and who is told when it grew.
//!
//! Several processes write at once, so records do not become visible in the order of any counter: one that was numbered
//! earlier may be committed later, and whoever read past it would never see it. So a record's number is made of the
//! transaction that wrote it and its place in that transaction:
//!
//! ```text
//! base + transaction id × 2^20 + place, from 1 on
//! ```
//!
//! `pg_snapshot_xmin` is the oldest transaction that was still running when a statement took its view of the data: all
//! transactions below it have ended, what they committed is in that view, and those that end later have that number or a
//! higher one. So below `base + xmin × 2^20`, the horizon, nothing is missing and nothing will ever come: reading in
//! the order of the numbers up to there sees each record exactly once. What is committed above the horizon is seen as
//! soon as the transactions that began before it have ended, whatever they do, in this database or another of the
//! server.
//!
//! A transaction tells of its commit by NOTIFY; the listener here wakes those who wait. While there is something above
//! the horizon, it looks again every 50 ms, since a transaction may end without telling; with nothing left it has no
//! timer.
//!
//! Transaction ids go on through restarts, failover and `pg_upgrade`, but begin anew in a server into which the data
//! was copied. `base` is raised then, when the database is opened, so that new numbers are above all old ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Places in one transaction, as a power of two. 43 bits remain for its id, which last for 27 years of 10,000
/// transactions a second.
const PLACE_BITS: u32 = 20;

/// Records that one transaction can write.
pub(crate) const MAX_RECORDS: usize = (1 << PLACE_BITS) - 1;

/// Between two looks at what is above the horizon.
const LOOK: Duration = Duration::from_millis(50);

/// How long a reader who would be told less than is committed waits for the horizon.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two attempts to reach the server.
const RECONNECT: Duration = Duration::from_millis(250);

/// An outbox table and its channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbox {
    pub(crate) table: &'static str,
    pub(crate) channel: &'static str,
    /// What raises the base when the data comes from another server; for [`super::postgres::open`].
    pub(crate) rebase: &'static str,
}

/// What raises the base of an outbox table.
macro_rules! rebase {
    ($table:literal) => {
        concat!(
            "UPDATE outbox_base SET base = m.newest - (x.next << 20) + 1048576 ",
            "FROM (SELECT coalesce(max(id), 0) AS newest FROM ",
            $table,
            ") m, (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next) x ",
            "WHERE m.newest >= outbox_base.base + (x.next << 20)"
        )
    };
}
pub(crate) use rebase;

/// The number of a record, as a term over the column `ord` of its place.
pub(crate) fn number() -> String {
    format!(
        "(SELECT base FROM outbox_base WHERE id = 0) + (pg_current_xact_id()::text::bigint << {PLACE_BITS}) + ord"
    )
}

/// What one look at the database showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Look {
    /// The newest record below the horizon.
    settled: u64,
    /// The newest record that is committed.
    newest: u64,
}

impl Look {
    /// Whether something is above the horizon.
    fn is_more_to_come(self) -> bool {
        self.newest > self.settled
    }
}

#[derive(Debug, Default)]
struct State {
    /// The newest record that is known to be below the horizon.
    settled: u64,
    /// The newest record that this process wrote.
    written: u64,
    /// Whether commits of others are heard of.
    listening: bool,
}

/// How far an outbox can be read.
#[derive(Debug)]
pub(crate) struct Horizon {
    outbox: Outbox,
    query: String,
    read: PgPool,
    state: Mutex<State>,
    /// There may be more to look at.
    stirred: Notify,
    /// More can be read, or nobody knows.
    changed: Event,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Horizon {
    /// Begins to follow the outbox.
    pub(crate) fn start(outbox: Outbox, read: PgPool, listener: PgPool) -> Arc<Self> {
        let Outbox { table, .. } = outbox;
        let query = format!(
            "SELECT coalesce((SELECT max(id) FROM {table} WHERE id < h.at), 0), \
            coalesce((SELECT max(id) FROM {table}), 0) \
            FROM (SELECT base + (pg_snapshot_xmin(pg_current_snapshot())::text::bigint << {PLACE_BITS}) AS at \
            FROM outbox_base WHERE id = 0) h"
        );
        let horizon = Arc::new(Horizon {
            outbox,
            query,
            read,
            state: Mutex::default(),
            stirred: Notify::new(),
            changed: Event::new(),
            tasks: Mutex::default(),
        });
        let listening = tokio::spawn(Arc::clone(&horizon).listen_always(listener));
        let looking = tokio::spawn(Arc::clone(&horizon).look_when_stirred());
        *horizon.tasks.lock().unwrap_or_else(PoisonError::into_inner) = vec![listening, looking];
        horizon
    }

    /// Stops following.
    pub(crate) fn stop(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.state().listening = false;
        self.changed.notify(usize::MAX);
    }

    /// Completes when there may be more to read.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Told after a commit of this process, of the newest record it wrote.
    pub(crate) fn wrote(&self, newest: u64) {
        {
            let mut state = self.state();
            state.written = state.written.max(newest);
        }
        self.stirred.notify_one();
    }

    /// The newest record that can be read, for someone who has read everything up to `after`. It is no older than what
    /// was committed before the call, unless another transaction holds up the horizon for longer than a moment.
    pub(crate) async fn settled(&self, after: u64) -> Result<u64, sqlx::Error> {
        {
            let state = self.state();
            if state.settled > after || (state.listening && state.settled >= state.written) {
                return Ok(state.settled);
            }
        }
        self.wait_beyond(after).await
    }

    /// The newest record that can be read, for someone who wants all there is.
    pub(crate) async fn end(&self) -> Result<u64, sqlx::Error> {
        self.wait_beyond(u64::MAX).await
    }

    /// Waits until the horizon is beyond `after` or beyond everything that is committed now, but no longer than a moment.
    async fn wait_beyond(&self, after: u64) -> Result<u64, sqlx::Error> {
        let deadline = Instant::now() + PATIENCE;
        let first = self.look().await?;
        let mut look = first;
        let mut pause = Duration::from_millis(1);
        while look.settled <= after && look.settled < first.newest && Instant::now() < deadline {
            sleep(pause).await;
            pause = (pause * 2).min(LOOK);
            look = self.look().await?;
        }
        Ok(look.settled)
    }

    async fn look(&self) -> Result<Look, sqlx::Error> {
        let query = sqlx::query_as(AssertSqlSafe(self.query.as_str()));
        let (settled, newest): (i64, i64) = query.fetch_one(&self.read).await?;
        let look = Look { settled: settled.cast_unsigned(), newest: newest.cast_unsigned() };
        let grew = {
            let mut state = self.state();
            let grew = look.settled > state.settled;
            state.settled = state.settled.max(look.settled);
            grew
        };
        if grew {
            self.changed.notify(usize::MAX);
        }
        Ok(look)
    }

    async fn look_when_stirred(self: Arc<Self>) {
        loop {
            self.stirred.notified().await;
            loop {
                match self.look().await {
                    Ok(look) if !look.is_more_to_come() => break,
                    Ok(_) => {}
                    // The listener hears of a server that went away, and stirs when it is back.
                    Err(_) if !self.state().listening => break,
                    Err(error) => {
                        tracing::warn!(%error, table = self.outbox.table, "the outbox cannot be read");
                    }
                }
                // Whoever commits stirs; whoever rolls back does not.
                let _ = timeout(LOOK, self.stirred.notified()).await;
            }
        }
    }

    async fn listen_always(self: Arc<Self>, pool: PgPool) {
        let mut silent = false;
        loop {
            match self.listen_once(&pool).await {
                Err(sqlx::Error::PoolClosed) => return,
                Err(error) if !silent => {
                    silent = true;
                    tracing::warn!(%error, table = self.outbox.table, "commits of others are not heard of");
                }
                Err(_) => {}
                Ok(()) => silent = false,
            }
            sleep(RECONNECT).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.eager_reconnect(false);
        listener.listen(self.outbox.channel).await?;
        self.state().listening = true;
        // What was committed while nobody listened.
        self.stirred.notify_one();
        let lost = loop {
            match listener.try_recv().await {
                Ok(Some(_)) => self.stirred.notify_one(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.state().listening = false;
        // Whoever waits must learn that there is no database, or look for themselves.
        self.changed.notify(usize::MAX);
        lost
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
