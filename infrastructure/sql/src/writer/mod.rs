//! The one connection that writes. It takes whatever operations wait, commits them together, then answers each.
//!
//! There is no timer: an operation that comes alone is committed alone, and the more come while a commit is under way,
//! the more share the next one.
//!
//! It runs on a thread of its own. Between two statements it waits for the database, and as a task among its many callers
//! it would then wait for their turn as well, several times in every batch.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use hive_application::error::{Effect, Error};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Database, Pool, Sqlite};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::database::Config;
use crate::engine::pruning::{BREATH, Pruned};
use crate::engine::slow::Slow;
use crate::engine::{Blame, Engine};
use crate::statement::Broken;
use parts::parts;

/// Time between two looks at the database after a commit that may have happened.
const LOST_TRACK: Duration = Duration::from_millis(200);

/// Attempts at a batch that another process got in the way of.
const ATTEMPTS: usize = 5;

/// The longest pause before the second attempt, in milliseconds; it doubles with each further one.
const BACKOFF_MS: u64 = 8;

/// A connection of the engine of a batch.
pub(crate) type ConnectionOf<B> = <<B as Batch>::Engine as Database>::Connection;

/// What a context writes, and how.
pub(crate) trait Batch: Send + 'static {
    /// The database it writes to.
    type Engine: Engine;
    /// One write, all or nothing.
    type Operation: Send + Sync + 'static;
    /// What became of it.
    type Answer: Send + 'static;
    /// What `commit` remembers for `committed`.
    type Outcome: Send;

    /// Whether something here has to be put right after a commit that may have happened, by [`Self::find_track`].
    const TRACKS: bool = false;

    /// Rows of one transaction, unless a single operation has more.
    const MAX_WEIGHT: usize = 4_096;

    /// Rows that an operation comes to, more or less.
    fn weight(_operation: &Self::Operation) -> usize {
        1
    }

    /// Begins a transaction, runs the operations in it and commits it. A failure undoes them all, and they are tried
    /// again in smaller batches: an operation must not fail because of its neighbours.
    fn commit(
        &mut self,
        connection: &mut ConnectionOf<Self>,
        operations: &[Self::Operation],
    ) -> impl Future<Output = Result<Self::Outcome, Failure>> + Send;

    /// Takes old records out of the outbox, in a transaction of its own: those of the window after `after` that were made
    /// before `before`. A context without an outbox has none.
    fn prune(
        &mut self,
        connection: &mut ConnectionOf<Self>,
        after: i64,
        before: i64,
    ) -> impl Future<Output = Result<Pruned, sqlx::Error>> + Send {
        let _ = (connection, after, before);
        async { Ok(Pruned { records: 0, next: None }) }
    }

    /// Told after the commit: one answer for each operation, in order.
    fn committed(&mut self, operations: Vec<Self::Operation>, outcome: Self::Outcome) -> Vec<Self::Answer>;

    /// With [`Self::TRACKS`], told after a commit that may or may not have happened, before anything else is written:
    /// looks at what really is in the database. Told again until it succeeds.
    fn find_track(
        &mut self,
        connection: &mut ConnectionOf<Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = connection;
        async { Ok(()) }
    }
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A statement before the commit failed.
    Before(sqlx::Error),
    /// The commit failed; what it did is not known.
    Commit(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Failure::Before(error)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Failure::Before(broken.error)
    }
}

struct Request<O, A> {
    operation: O,
    answer: oneshot::Sender<Result<A, Error>>,
}

/// A window to look for old records in.
struct Window {
    after: i64,
    before: i64,
    answer: oneshot::Sender<Result<Pruned, Error>>,
}

type RequestOf<B> = Request<<B as Batch>::Operation, <B as Batch>::Answer>;

/// Where the answer to an operation goes.
type AnswerTo<B> = oneshot::Sender<Result<<B as Batch>::Answer, Error>>;

/// How to end the writing thread, and how to learn that it ended.
struct Closing {
    close: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// The way to the writing thread.
pub(crate) struct Writer<O, A> {
    what: &'static str,
    queue: mpsc::Sender<Request<O, A>>,
    windows: mpsc::Sender<Window>,
    written: Arc<Notify>,
    closing: Mutex<Option<Closing>>,
}

impl<O: Send + Sync + 'static, A: Send + 'static> Writer<O, A> {
    /// Starts the thread on the only connection of `pool`. `what` names the database in errors.
    pub(crate) fn start<B: Batch<Operation = O, Answer = A>>(
        what: &'static str,
        pool: Pool<B::Engine>,
        config: &Config,
        store: B,
    ) -> Result<Self, Error> {
        let (queue, requests) = mpsc::channel(config.queue.max(1));
        let (windows, to_prune) = mpsc::channel(1);
        let (close, closing) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let task = Task {
            what,
            pool,
            connection: None,
            lost_track: false,
            batch: config.batch.max(1),
            slow: Slow(config.slow),
            store,
        };
        let failed = |error| Error::unavailable(what, error, Effect::None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let run = move || {
            runtime.block_on(task.run(requests, to_prune, closing));
            drop(end);
        };
        std::thread::Builder::new().name("sql-writer".to_owned()).spawn(run).map_err(failed)?;
        let (written, closing) = (Arc::default(), Mutex::new(Some(Closing { close, ended })));
        Ok(Writer { what, queue, windows, written, closing })
    }

    /// Queues an operation, waiting for a place, and waits until it is committed. Once queued it is carried out even
    /// when the caller no longer waits.
    pub(crate) async fn submit(&self, operation: O) -> Result<A, Error> {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Request { operation, answer }).await.is_err() {
            return Err(self.gone(Effect::None).await);
        }
        let answer = answered.await;
        self.written.notify_one();
        match answer {
            Ok(answer) => answer,
            Err(_) => Err(self.gone(Effect::Unknown).await),
        }
    }

    /// Told after every write.
    pub(crate) fn written(&self) -> Arc<Notify> {
        Arc::clone(&self.written)
    }

    /// Takes the records out of the outbox that were made before `before` and may go, window after window; tells how many.
    pub(crate) async fn prune(&self, before: i64) -> Result<u64, Error> {
        let (mut after, mut records) = (0, 0);
        loop {
            let pruned = self.prune_window(after, before).await?;
            records += pruned.records;
            let Some(next) = pruned.next else { return Ok(records) };
            after = next;
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn prune_window(&self, after: i64, before: i64) -> Result<Pruned, Error> {
        let (answer, answered) = oneshot::channel();
        if self.windows.send(Window { after, before, answer }).await.is_err() {
            return Err(self.gone(Effect::None).await);
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(self.gone(Effect::Unknown).await),
        }
    }

    /// The error for a thread that is not there: it was closed, or a defect ended it.
    async fn gone(&self, effect: Effect) -> Error {
        if self.closing.lock().await.is_none() {
            Error::unavailable(self.what, "the database is closed", effect)
        } else {
            Error::internal(format!("the writing thread of {} ended", self.what))
        }
    }

    /// Takes no more operations, finishes those that wait, and closes the connection.
    pub(crate) async fn close(&self) {
        if let Some(Closing { close, ended }) = self.closing.lock().await.take() {
            drop(close);
            // Nothing is ever sent: the thread drops its end when it ends.
            let _ = ended.await;
        }
    }
}

impl<O, A> std::fmt::Debug for Writer<O, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("what", &self.what).finish_non_exhaustive()
    }
}

/// How an attempt to commit a batch ended.
enum Attempt<O> {
    Committed(O),
    /// Undone. The cause may be one of the operations.
    Refused(sqlx::Error),
    /// Undone. The cause is another process.
    Disturbed(sqlx::Error),
    /// Undone. It takes too long, perhaps because it is too much at once.
    Slow(sqlx::Error),
    /// Undone. The cause is the database or its disk.
    Failed(sqlx::Error),
    /// Not begun: there is no database.
    Absent(sqlx::Error),
    /// The commit itself failed.
    Uncertain(sqlx::Error),
}

struct Task<B: Batch> {
    what: &'static str,
    pool: Pool<B::Engine>,
    /// None before the first batch, and after it broke until the next; with the time of its last use.
    connection: Option<(PoolConnection<B::Engine>, Instant)>,
    /// The last commit may have happened or not.
    lost_track: bool,
    batch: usize,
    slow: Slow,
    store: B,
}

impl<B: Batch> Task<B> {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<RequestOf<B>>,
        mut to_prune: mpsc::Receiver<Window>,
        mut closing: oneshot::Receiver<()>,
    ) {
        let mut waiting = Vec::with_capacity(self.batch);
        loop {
            let lost_track = self.lost_track;
            tokio::select! {
                biased;
                // First, or it would never come to it under load; whoever asks leaves time between two.
                Some(Window { after, before, answer }) = to_prune.recv() => {
                    drop(answer.send(self.prune(after, before).await));
                }
                received = requests.recv_many(&mut waiting, self.batch) => {
                    if received == 0 {
                        break;
                    }
                    if self.commit_all(std::mem::take(&mut waiting)).await.is_err() {
                        // What has waited for the attempt need not wait for another.
                        while let Ok(request) = requests.try_recv() {
                            self.fail_all(vec![request.answer], sqlx::Error::PoolTimedOut, Effect::None);
                        }
                    }
                }
                _ = &mut closing, if !requests.is_closed() => requests.close(),
                // Nobody may ever write again, and readers wait for what that commit may have brought.
                () = tokio::time::sleep(LOST_TRACK), if lost_track => {
                    if let Err(error) = self.find_track().await {
                        tracing::warn!(%error, database = self.what, "what was committed last is not known");
                    }
                }
            }
        }
        drop(self.connection);
        self.pool.close().await;
    }

    /// Commits the requests, in parts where one of them is refused. Fails when there is no database.
    async fn commit_all(&mut self, requests: Vec<RequestOf<B>>) -> Result<(), ()> {
        let mut absent = Ok(());
        let mut disturbed = 0;
        let (operations, answers) = requests.into_iter().map(|r| (r.operation, r.answer)).unzip();
        let mut parts = parts(operations, answers, B::weight, B::MAX_WEIGHT);
        while let Some((mut operations, mut answers)) = parts.pop_front() {
            match self.attempt(&operations).await {
                Attempt::Committed(outcome) => {
                    let results = self.store.committed(operations, outcome);
                    answers.into_iter().zip(results).for_each(|(to, result)| drop(to.send(Ok(result))));
                }
                Attempt::Refused(_) | Attempt::Slow(_) if operations.len() > 1 => {
                    let half = operations.len() / 2;
                    parts.push_front((operations.split_off(half), answers.split_off(half)));
                    parts.push_front((operations, answers));
                }
                Attempt::Refused(error) => {
                    let error = Arc::new(error);
                    for to in answers {
                        drop(to.send(Err(Error::internal(Arc::clone(&error)))));
                    }
                }
                Attempt::Disturbed(_) if disturbed < ATTEMPTS => {
                    // Those who disturbed each other must not meet again at the same moment.
                    tokio::time::sleep(backoff(disturbed)).await;
                    disturbed += 1;
                    parts.push_front((operations, answers));
                }
                Attempt::Absent(error) => {
                    absent = Err(());
                    self.fail_all(answers, error, Effect::None);
                }
                Attempt::Failed(error) | Attempt::Disturbed(error) | Attempt::Slow(error) => {
                    self.fail_all(answers, error, Effect::None);
                }
                Attempt::Uncertain(error) => self.fail_all(answers, error, Effect::Unknown),
            }
        }
        absent
    }

    fn fail_all(&self, answers: Vec<AnswerTo<B>>, error: sqlx::Error, effect: Effect) {
        let error = Arc::new(error);
        for to in answers {
            drop(to.send(Err(Error::unavailable(self.what, Arc::clone(&error), effect))));
        }
    }

    /// One transaction around the operations.
    async fn attempt(&mut self, operations: &[B::Operation]) -> Attempt<B::Outcome> {
        if let Err(error) = self.find_track().await {
            return Attempt::Absent(error);
        }
        let mut connection = match self.take_connection().await {
            Ok(connection) => connection,
            Err(error) => return Attempt::Absent(error),
        };
        let begun = Instant::now();
        let committed = self.store.commit(&mut connection, operations).await;
        self.slow.tell(self.what, "batch of writes", begun.elapsed(), operations.iter().map(B::weight).sum());
        match committed {
            Ok(outcome) => {
                self.connection = Some((connection, Instant::now()));
                Attempt::Committed(outcome)
            }
            Err(Failure::Before(error)) => {
                self.give_back(connection, &error).await;
                match B::Engine::blame(&error) {
                    Blame::Operation => Attempt::Refused(error),
                    Blame::Neighbour => Attempt::Disturbed(error),
                    Blame::Size => Attempt::Slow(error),
                    Blame::Database => Attempt::Failed(error),
                }
            }
            Err(Failure::Commit(error)) => {
                self.lost_track = B::TRACKS;
                self.give_back(connection, &error).await;
                if let Err(error) = self.find_track().await {
                    tracing::error!(%error, database = self.what, "the database cannot be read");
                }
                Attempt::Uncertain(error)
            }
        }
    }

    /// After a commit that may have happened, lets the store look at what really is in the database.
    async fn find_track(&mut self) -> Result<(), sqlx::Error> {
        if !self.lost_track {
            return Ok(());
        }
        let mut connection = self.take_connection().await?;
        match self.store.find_track(&mut connection).await {
            Ok(()) => {
                self.lost_track = false;
                self.connection = Some((connection, Instant::now()));
                Ok(())
            }
            Err(error) => {
                drop(connection.detach());
                Err(error)
            }
        }
    }

    /// Takes old records out, on the connection that nobody else writes on.
    async fn prune(&mut self, after: i64, before: i64) -> Result<Pruned, Error> {
        let what = self.what;
        let absent = |error| Error::unavailable(what, error, Effect::None);
        let mut connection = self.take_connection().await.map_err(absent)?;
        match self.store.prune(&mut connection, after, before).await {
            Ok(pruned) => {
                self.connection = Some((connection, Instant::now()));
                Ok(pruned)
            }
            Err(error) => {
                self.give_back(connection, &error).await;
                Err(Error::unavailable(self.what, error, Effect::Unknown))
            }
        }
    }

    async fn take_connection(&mut self) -> Result<PoolConnection<B::Engine>, sqlx::Error> {
        if let Some((mut connection, used)) = self.connection.take() {
            if B::Engine::is_alive(&mut connection, used.elapsed()).await {
                return Ok(connection);
            }
            drop(connection.detach());
        }
        self.pool.acquire().await
    }

    /// Keeps a connection whose transaction is undone, if another one would fare no better. One that does not even do
    /// that is thrown away: closing it undoes whatever it had open.
    async fn give_back(&mut self, mut connection: PoolConnection<B::Engine>, failure: &sqlx::Error) {
        if !B::Engine::keeps(failure) {
            drop(connection.detach());
            return;
        }
        match B::Engine::roll_back(&mut connection).await {
            Ok(()) => self.connection = Some((connection, Instant::now())),
            Err(error) => {
                tracing::warn!(%error, database = self.what, "the writing connection broke");
                drop(connection.detach());
            }
        }
    }
}

/// A pause of random length before one more attempt, after so many.
fn backoff(attempts: usize) -> Duration {
    Duration::from_micros(fastrand::u64(0..=(BACKOFF_MS * 1_000) << attempts.min(ATTEMPTS)))
}

/// Begins the transaction of a batch.
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

/// Commits the transaction of a batch.
pub(crate) async fn commit(connection: &mut SqliteConnection) -> Result<(), Failure> {
    sqlx::query("COMMIT").execute(connection).await.map(drop).map_err(Failure::Commit)
}

/// Leaves the open transaction, if there is one.
pub(crate) async fn roll_back(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    Sqlite::roll_back(connection).await
}
