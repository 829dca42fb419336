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
//! # Where transaction ids begin anew
//!
//! They go on through restarts and `pg_upgrade`, but begin anew in a server into which the data was copied, and go back
//! where a server is replaced by a copy that had not received everything: numbers would be given a second time, below
//! places that readers have passed. So the base is kept with its origin, the identity of the server and its timeline, which
//! every promotion and every restore to a point in time begins anew. Whoever opens the database, and every new connection
//! that writes, compares it before anything else, and raises the base where it changed or where newer records are there
//! than this server could have numbered. A disk put back to an earlier state beneath a server, without recovery to a point
//! in time, has the same origin: no process may live through that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_application::error::Error;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use tokio::time::{Instant, sleep};

use super::reader::Reader;

/// Places in one transaction, as a power of two. 43 bits remain for its id, which last for 27 years of 10,000
/// transactions a second.
const PLACE_BITS: u32 = 20;

/// Records that one transaction can write.
pub(crate) const MAX_RECORDS: usize = (1 << PLACE_BITS) - 1;

/// Between two looks at what is above the horizon, at most.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Between the first two.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(1);

/// How long a look may take: it reads two ends of an index.
const ANSWER: Duration = Duration::from_secs(5);

/// How long another transaction may hold up the horizon before somebody should look at it.
const HELD: Duration = Duration::from_secs(5);

/// An outbox table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbox {
    pub(crate) table: &'static str,
    /// What raises the base when transaction ids began anew; for [`super::postgres::open`].
    pub(crate) rebase: &'static str,
}

/// What raises the base of an outbox table when transaction ids began anew. Where the origin changed, it goes 2^44 up,
/// so that 16 million transactions may have been lost. `places` is a term for the furthest place that a reader
/// remembers, which may be beyond records that were lost; a place that none can have reached does not count.
macro_rules! rebase {
    ($table:literal, $places:literal) => {
        concat!(
            "UPDATE outbox_base SET origin = n.origin, base = greatest(outbox_base.base, n.newest - n.next + 1048576) \
            + CASE WHEN outbox_base.origin <> n.origin THEN 1::bigint << 44 ELSE 0 END FROM \
            (SELECT o.origin, x.next, greatest(m.newest, (SELECT max(place) FROM (",
            $places,
            ") p WHERE place < greatest(m.newest, b.base + x.next) + (1::bigint << 44))) AS newest FROM outbox_base b, \
            (SELECT (SELECT system_identifier FROM pg_control_system()) || '/' \
            || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS origin) o, \
            (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20 AS next) x, \
            (SELECT coalesce(max(id), 0) AS newest FROM ",
            $table,
            ") m) n WHERE outbox_base.origin IS DISTINCT FROM n.origin OR n.newest >= outbox_base.base + n.next"
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
pub(crate) struct Look {
    /// The newest record below the horizon.
    pub(crate) settled: u64,
    /// The newest record that is committed.
    pub(crate) newest: u64,
}

impl Look {
    /// Whether something is above the horizon.
    pub(crate) fn is_more_to_come(self) -> bool {
        self.newest > self.settled
    }
}

/// Since when the horizon is where it is, and whether somebody was told.
#[derive(Debug, Clone, Copy)]
struct Held {
    settled: u64,
    since: Instant,
    told: bool,
}

/// How far an outbox can be read, for whoever asks.
#[derive(Debug)]
pub(crate) struct Horizon {
    table: &'static str,
    look: Statement,
    reader: Reader,
    patience: Duration,
    held: Mutex<Option<Held>>,
}

impl Horizon {
    pub(crate) fn new(outbox: Outbox, reader: Reader, patience: Duration) -> Self {
        let Outbox { table, .. } = outbox;
        let look = format!(
            "SELECT coalesce((SELECT max(id) FROM {table} WHERE id < h.at), 0), \
            coalesce((SELECT max(id) FROM {table}), 0), oldest \
            FROM (SELECT base + (oldest << {PLACE_BITS}) AS at, oldest FROM outbox_base, \
            (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest) s WHERE id = 0) h"
        );
        let look = Statement::from_string(DbBackend::Postgres, look);
        Horizon { table, look, reader, patience, held: Mutex::new(None) }
    }

    /// Looks once.
    pub(crate) async fn look(&self) -> Result<Look, Error> {
        let database = self.reader.database();
        let row = async {
            let row = database.query_one_raw(self.look.clone()).await?;
            let row = row.ok_or_else(|| DbErr::RecordNotFound("outbox_base".to_owned()))?;
            let number = |at| row.try_get_by_index::<i64>(at);
            Ok((number(0)?, number(1)?, number(2)?))
        };
        let (settled, newest, oldest) = self.reader.answer_within(ANSWER, "end of an outbox", row).await?;
        let look = Look { settled: settled.cast_unsigned(), newest: newest.cast_unsigned() };
        self.tell_if_held(look, oldest);
        Ok(look)
    }

    /// The newest record that can be read, for someone who has read everything up to `after`: asked for until there is
    /// one beyond, or all that was committed before the call can be read, but no longer than a moment.
    pub(crate) async fn settled(&self, after: u64) -> Result<u64, Error> {
        let deadline = Instant::now() + self.patience;
        let first = self.look().await?;
        let (mut look, mut pause) = (first, FIRST_LOOK);
        while look.settled <= after && look.settled < first.newest && Instant::now() < deadline {
            sleep(pause).await;
            pause = (pause * 2).min(LOOK);
            look = self.look().await?;
        }
        Ok(look.settled)
    }

    fn tell_if_held(&self, look: Look, oldest: i64) {
        if is_to_be_told(&mut self.held(), look, Instant::now()) {
            // Found in pg_stat_activity by its backend_xid, in pg_prepared_xacts by its transaction.
            tracing::warn!(
                table = self.table,
                transaction = oldest,
                "an open transaction on the database server keeps records from being read"
            );
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        // Every change is complete before anything can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the horizon stands still for long, which is told once each time it does.
fn is_to_be_told(held: &mut Option<Held>, look: Look, now: Instant) -> bool {
    if !look.is_more_to_come() {
        *held = None;
        return false;
    }
    let begin = || Held { settled: look.settled, since: now, told: false };
    let held = held.get_or_insert_with(begin);
    if held.settled != look.settled {
        *held = begin();
    }
    let tell = !held.told && now.duration_since(held.since) >= HELD;
    held.told |= tell;
    tell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_horizon_that_stands_still_is_told_once() {
        let (mut held, begun) = (None, Instant::now());
        let mut look = |settled, newest, seconds| {
            is_to_be_told(&mut held, Look { settled, newest }, begun + Duration::from_secs(seconds))
        };
        assert!(!look(1, 2, 0) && !look(1, 3, 4), "not yet");
        assert!(look(1, 3, 5), "for so long");
        assert!(!look(1, 4, 60), "once");
        assert!(!look(2, 4, 61) && !look(2, 4, 65), "it moved");
        assert!(look(2, 5, 66), "and stands again");
        assert!(
            !look(5, 5, 67) && !look(5, 6, 100) && !look(5, 6, 104),
            "everything could be read meanwhile"
        );
        assert!(look(5, 6, 105));
    }
}
