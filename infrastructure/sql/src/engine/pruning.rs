//! Taking the oldest records out of an outbox, a bounded number at a time, on the connection that writes.
//!
//! `outbox_floor` remembers how far records were taken out: whoever asks to go on from below is told, and never skips in
//! silence. The newest record always stays, so that numbers go on above it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hive_application::error::{Error, chain};
use sqlx::{ColumnIndex, Connection, Database, Decode, Encode, Executor, IntoArguments, Row, Type};
use tokio::sync::Notify;

/// Records looked at in one transaction.
const WINDOW: usize = 500;

/// How long after the first write records are looked at, so that a start has nothing more to do than before.
const FIRST: Duration = Duration::from_secs(60);

/// Between two looks, while there are writes.
const EVERY: Duration = Duration::from_secs(600);

/// Between two transactions, so that writes come in between.
pub(crate) const BREATH: Duration = Duration::from_millis(20);

/// The statements of an outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pruning {
    /// Number and time of the records after `$1` that every reader has passed who remembered a place since `$2`, without
    /// the newest one, oldest first, as many as [`WINDOW`].
    pub(crate) window: &'static str,
    /// Deletes those after `$1` up to `$2` that are older than `$3` and belong to nothing unfinished, and tells their
    /// numbers.
    pub(crate) delete: &'static str,
}

/// What became of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Records taken out.
    pub(crate) records: u64,
    /// Where the next window begins; none when everything younger stays.
    pub(crate) next: Option<i64>,
}

impl Pruning {
    /// Takes out what it may of the window after `after`, of records made before `before`, in milliseconds.
    pub(crate) async fn run<DB: Database>(
        self,
        connection: &mut DB::Connection,
        after: i64,
        before: i64,
    ) -> Result<Pruned, sqlx::Error>
    where
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
        DB::Arguments: IntoArguments<DB>,
        i64: Type<DB> + for<'r> Decode<'r, DB> + for<'q> Encode<'q, DB>,
        usize: ColumnIndex<DB::Row>,
    {
        let mut transaction = connection.begin().await?;
        let rows = sqlx::query(self.window).bind(after).bind(before).fetch_all(&mut *transaction).await?;
        let mut old = Vec::with_capacity(rows.len());
        for row in &rows {
            let (id, at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if at >= before {
                break;
            }
            old.push(id);
        }
        let Some(end) = old.last().copied() else { return Ok(Pruned { records: 0, next: None }) };
        let query = sqlx::query(self.delete).bind(after).bind(end).bind(before);
        let mut records = 0;
        let mut floor = 0;
        for row in query.fetch_all(&mut *transaction).await? {
            records += 1;
            floor = floor.max(row.try_get::<i64, _>(0)?);
        }
        if records > 0 {
            let raise = "UPDATE outbox_floor SET pruned = $1 WHERE pruned < $1";
            sqlx::query(raise).bind(floor).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Pruned { records, next: (old.len() == WINDOW).then_some(end) })
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Looks for old records again and again, but only while there are writes: an idle database is asked nothing.
pub(crate) async fn keep_pruning<F: Future<Output = Result<u64, Error>>>(
    what: &'static str,
    age: Duration,
    written: Arc<Notify>,
    prune: impl Fn(i64) -> F,
) {
    let mut pause = FIRST;
    loop {
        written.notified().await;
        tokio::time::sleep(pause).await;
        pause = EVERY;
        let before = now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        match prune(before).await {
            Ok(0) => {}
            Ok(records) => {
                tracing::info!(records, database = what, "old records were taken out of the outbox");
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    database = what,
                    "old records stay in the outbox for now"
                );
            }
        }
    }
}
