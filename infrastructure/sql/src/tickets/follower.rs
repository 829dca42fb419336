//! Following the log where several processes write: one task looks at how far it can be read, takes in what is new, and
//! tells those who wait. Whoever keeps up reads from memory, and however many they are, they ask the database nothing.
//!
//! A transaction tells of its commit by NOTIFY; the listener here makes the task look. While there is something above the
//! horizon, it looks again, after 1 ms and then ever more rarely, since a transaction may end without telling; with
//! nothing left it has no timer. The listener alone asks for a sign of life when it heard nothing for half a minute.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};
use hive_application::error::{Effect, Error, ErrorKind};
use hive_application::tickets::LogFilter;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::hot_tickets::HotTickets;
use super::stored::Stored;
use super::tail::Tail;
use super::totals::Totals;
use super::{WHAT, postgres};
use crate::database::Config;
use crate::engine::horizon::{FIRST_LOOK, Horizon, LOOK, Look};
use crate::engine::postgres::{Following, listen, notified};
use crate::engine::reader::Reader;

/// Between two attempts to reach the server.
const RECONNECT: Duration = Duration::from_millis(250);

/// Records taken in by one query.
const PAGE: usize = 1_000;

/// How long after the last read new records are still taken in.
const INTEREST: Duration = Duration::from_secs(2);

/// What the last look showed.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// It began after so many had asked for one.
    answered: u64,
    /// The newest record that can be read.
    settled: u64,
    /// The newest record that is committed.
    newest: u64,
    /// Why nothing was seen.
    failed: Option<Arc<Error>>,
    /// There will be no more looks.
    closed: bool,
}

#[derive(Debug)]
struct State {
    /// How many looks were asked for.
    asked: u64,
    /// The newest record that this process wrote.
    written: u64,
    /// Whether commits of others are heard of.
    listening: bool,
    /// Whether what is in memory may be of another database.
    cold: bool,
    /// When somebody last read.
    read: Option<Instant>,
}

/// How far the log can be read, and its end.
#[derive(Debug)]
pub(super) struct Follower {
    reader: Reader,
    horizon: Horizon,
    stored: Stored,
    tail: Tail,
    hot: Arc<HotTickets>,
    totals: Arc<Totals>,
    capacity: usize,
    silence: Duration,
    patience: Duration,
    state: Mutex<State>,
    seen: watch::Sender<Seen>,
    /// There may be more to look at.
    stirred: Notify,
    /// More can be read, or nobody knows.
    changed: Event,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Follower {
    /// Begins to follow.
    pub(super) fn start(
        following: Following,
        config: &Config,
        hot: Arc<HotTickets>,
        totals: Arc<Totals>,
    ) -> Arc<Self> {
        let reader = following.end;
        let capacity = config.log_tail.max(1);
        let follower = Arc::new(Follower {
            horizon: Horizon::new(postgres::OUTBOX, reader.clone(), config.patience),
            stored: Stored::new(reader.clone(), Arc::clone(&hot)),
            reader,
            tail: Tail::new(0, capacity),
            hot,
            totals,
            capacity,
            silence: config.silence,
            patience: config.patience,
            state: Mutex::new(State { asked: 0, written: 0, listening: false, cold: true, read: None }),
            seen: watch::Sender::default(),
            stirred: Notify::new(),
            changed: Event::new(),
            tasks: Mutex::default(),
        });
        let listening = tokio::spawn(Arc::clone(&follower).listen_always(following.listener));
        let looking = tokio::spawn(Arc::clone(&follower).look_when_stirred());
        *follower.tasks.lock().unwrap_or_else(PoisonError::into_inner) = vec![listening, looking];
        follower
    }

    /// Stops following, and closes the connections.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.state().listening = false;
        self.seen.send_modify(|seen| seen.closed = true);
        self.changed.notify(usize::MAX);
        self.reader.close().await
    }

    /// The end of the log, in memory as far as [`Self::settled`] tells.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Completes when there may be more to read.
    pub(super) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Told after a commit of this process, of the newest record it wrote.
    pub(super) fn wrote(&self, newest: u64) {
        {
            let mut state = self.state();
            state.written = state.written.max(newest);
        }
        self.stirred.notify_one();
    }

    /// The newest record that can be read, for someone who has read everything up to `after`. It is no older than what
    /// was committed before the call, as far as this process heard of it, unless another transaction holds up the horizon
    /// for longer than a moment.
    pub(super) async fn settled(&self, after: u64) -> Result<u64, Error> {
        {
            let mut state = self.state();
            state.read = Some(Instant::now());
            let settled = self.seen.borrow().settled;
            if settled > after || (state.listening && settled >= state.written) {
                return Ok(settled);
            }
        }
        self.wait_beyond(after).await
    }

    /// The newest record that can be read, for someone who wants all there is.
    pub(super) async fn end(&self) -> Result<u64, Error> {
        self.wait_beyond(u64::MAX).await
    }

    /// Waits until the log can be read beyond `after`, or up to all that is committed now, but no longer than a moment.
    async fn wait_beyond(&self, after: u64) -> Result<u64, Error> {
        let deadline = Instant::now() + self.patience;
        let mut seen = self.seen.subscribe();
        let asked = {
            let mut state = self.state();
            state.asked += 1;
            state.asked
        };
        self.stirred.notify_one();
        let first = seen.wait_for(|seen| seen.closed || seen.answered >= asked).await;
        let first = first.map_err(Error::internal)?.clone();
        let goal = (after.saturating_add(1)).min(first.newest);
        let reached = |seen: &Seen| seen.closed || seen.failed.is_some() || seen.settled >= goal;
        let last = match timeout_at(deadline, seen.wait_for(reached)).await {
            Ok(reached) => reached.map_err(Error::internal)?.clone(),
            Err(_) => self.seen.borrow().clone(),
        };
        match last.failed {
            _ if last.closed => Err(Error::unavailable(WHAT, "the database is closed", Effect::None)),
            Some(failed) if failed.kind() == ErrorKind::Unavailable => {
                Err(Error::unavailable(WHAT, failed, Effect::None))
            }
            Some(failed) => Err(Error::internal(failed)),
            None => Ok(last.settled),
        }
    }

    async fn look_when_stirred(self: Arc<Self>) {
        let mut told = false;
        loop {
            self.stirred.notified().await;
            let mut pause = FIRST_LOOK;
            loop {
                match self.look().await {
                    Ok(look) => {
                        told = false;
                        if !look.is_more_to_come() {
                            break;
                        }
                    }
                    // The listener hears of a server that went away, and stirs when it is back.
                    Err(_) if !self.state().listening => break,
                    Err(error) => {
                        pause = RECONNECT;
                        if !std::mem::replace(&mut told, true) {
                            tracing::warn!(%error, "the end of the ticket log cannot be read");
                        }
                    }
                }
                // Whoever commits stirs; whoever rolls back does not.
                if timeout(pause, self.stirred.notified()).await.is_err() {
                    pause = (pause * 2).min(LOOK);
                }
            }
        }
    }

    /// Looks, takes in what is new, and tells.
    async fn look(&self) -> Result<Look, Arc<Error>> {
        let (asked, cold) = {
            let mut state = self.state();
            (state.asked, std::mem::take(&mut state.cold))
        };
        let settled = self.seen.borrow().settled;
        if cold {
            self.tail.restart(settled);
        }
        let look = self.horizon.look().await.map_err(Arc::new);
        if let Ok(look) = look
            && look.settled > settled
        {
            self.take_in(look.settled).await;
        }
        let mut grew = false;
        self.seen.send_modify(|seen| {
            seen.answered = asked;
            seen.failed = look.as_ref().err().cloned();
            if let Ok(look) = look {
                grew = look.settled > seen.settled;
                seen.settled = seen.settled.max(look.settled);
                seen.newest = look.newest;
            }
        });
        if grew {
            self.changed.notify(usize::MAX);
        }
        look
    }

    /// Takes the records up to `end` into memory. Where that is too much, or where nobody would read them, or where they
    /// cannot be read, they stay where they are, and readers find them there.
    async fn take_in(&self, end: u64) {
        let interest = self.state().read.is_some_and(|read| read.elapsed() < INTEREST);
        let mut after = self.tail.end();
        let pages = if interest && after > 0 { self.capacity.div_ceil(PAGE) } else { 0 };
        for _ in 0..pages {
            let Ok(page) = self.stored.page(after, end, &LogFilter::default(), PAGE).await else { break };
            after = page.read_to;
            self.tail.append(page.changes);
            if after >= end {
                return;
            }
        }
        self.tail.restart(end);
    }

    async fn listen_always(self: Arc<Self>, options: PgConnectOptions) {
        let mut silent = false;
        loop {
            match self.listen_once(&options).await {
                Err(error) if !silent => {
                    silent = true;
                    tracing::warn!(%error, "commits of other processes are not heard of");
                }
                Err(_) => {}
                Ok(()) => silent = false,
            }
            sleep(RECONNECT).await;
        }
    }

    /// Listens until the connection is lost.
    async fn listen_once(&self, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        let mut listener = listen(options, postgres::CHANNEL).await?;
        // Who answers now may have taken the place of another, which had told of commits that this one never heard of.
        self.hot.clear();
        self.totals.clear();
        {
            let mut state = self.state();
            state.cold = true;
            state.listening = true;
        }
        // What was committed while nobody listened.
        self.stirred.notify_one();
        let lost = loop {
            match notified(&mut listener, self.silence).await {
                Ok(Some(())) => self.stirred.notify_one(),
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
