//! Runs every open flow of the process: those found at the start, and each one submitted after.
//!
//! The journal is the queue. What is kept here of flows that wait is bounded; when more are open than fit, the journal is
//! asked again as soon as those kept are under way.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use hive_domain::ids::WorkflowId;

use super::Dependencies;
use super::flow_feed::FlowFeed;
use super::journal_driver::JournalDriver;
use crate::error::{Error, ErrorKind, chain};

/// Flows kept waiting here at most.
const WAITING: usize = 1_024;
/// Milliseconds between two attempts to read the journal.
const LOOK_AGAIN_MS: i64 = 1_000;

/// Runs flows.
#[derive(Clone)]
pub struct SuperviseFlows {
    dependencies: Dependencies,
    driver: JournalDriver,
    feed: Arc<FlowFeed>,
    queue: Arc<Queue>,
    max_flows: usize,
}

/// What came of one of the things done at the same time.
enum Turn {
    /// A flow ended or stopped.
    Driven(WorkflowId),
    /// The open flows of the journal.
    Found(Vec<WorkflowId>),
}

type Turns<'s> = FuturesUnordered<BoxFuture<'s, Result<Turn, Error>>>;

impl SuperviseFlows {
    pub(super) fn new(
        dependencies: Dependencies,
        driver: JournalDriver,
        feed: Arc<FlowFeed>,
        max_flows: usize,
    ) -> Self {
        SuperviseFlows { dependencies, driver, feed, queue: Arc::default(), max_flows: max_flows.max(1) }
    }

    /// Has a flow run that the journal remembers; one that stopped gets another chance. Returns at once.
    pub fn submit(&self, workflow_id: &WorkflowId) {
        self.feed.forgive(workflow_id);
        self.queue.offer(workflow_id);
    }

    /// Runs flows until it is dropped; they are then taken up again by whoever calls this next. A flow that stops with an
    /// error that waiting does not mend is logged, shows why in its status, and rests until it is submitted again.
    /// Returns only with an error of the journal, or `FailedPrecondition` when it runs already.
    pub async fn execute(&self) -> Result<(), Error> {
        let _only = self.queue.claim()?;
        let mut active: HashSet<WorkflowId> = HashSet::new();
        let mut turns = Turns::new();
        turns.push(self.look().boxed());
        let mut looking = true;
        loop {
            let offered = self.queue.listen();
            while active.len() < self.max_flows {
                match self.queue.next() {
                    Some(id) if active.insert(id.clone()) => turns.push(self.drive(id).boxed()),
                    Some(_) => {}
                    None if !looking && self.queue.take_more() => {
                        looking = true;
                        turns.push(self.look().boxed());
                    }
                    None => break,
                }
            }
            if turns.is_empty() {
                offered.await;
                continue;
            }
            let Either::Left((Some(turn), _)) = select(turns.next(), offered).await else { continue };
            match turn? {
                Turn::Driven(id) => {
                    active.remove(&id);
                }
                Turn::Found(open) => {
                    looking = false;
                    let rests = |id: &WorkflowId| active.contains(id) || self.feed.failure(id).is_some();
                    open.iter().filter(|id| !rests(id)).for_each(|id| self.queue.offer(id));
                }
            }
        }
    }

    async fn drive(&self, workflow_id: WorkflowId) -> Result<Turn, Error> {
        match self.driver.execute(&workflow_id).await {
            Ok(_) => tracing::info!(workflow.id = %workflow_id, "flow {workflow_id} ended"),
            Err(error) => {
                tracing::error!(workflow.id = %workflow_id, error = chain(&error), "flow {workflow_id} stopped");
                self.feed.fail(&workflow_id, error.to_string());
                self.dependencies.observer.stopped(&workflow_id);
            }
        }
        Ok(Turn::Driven(workflow_id))
    }

    async fn look(&self) -> Result<Turn, Error> {
        let Dependencies { journal, clock, timer, .. } = &self.dependencies;
        loop {
            match journal.list_open().await {
                Ok(open) => return Ok(Turn::Found(open)),
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = chain(&error), "open flows cannot be listed yet");
                    timer.sleep_until(clock.now().plus_ms(LOOK_AGAIN_MS)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for SuperviseFlows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuperviseFlows").field("max_flows", &self.max_flows).finish_non_exhaustive()
    }
}

/// Flows that wait to be driven.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    offered: Event,
}

#[derive(Default)]
struct Waiting {
    flows: VecDeque<WorkflowId>,
    /// There are more in the journal.
    more: bool,
    claimed: bool,
}

impl Queue {
    fn offer(&self, id: &WorkflowId) {
        let mut waiting = self.lock();
        if waiting.flows.contains(id) {
            return;
        }
        if waiting.flows.len() < WAITING {
            waiting.flows.push_back(id.clone());
        } else {
            waiting.more = true;
        }
        drop(waiting);
        self.offered.notify(usize::MAX);
    }

    fn next(&self) -> Option<WorkflowId> {
        self.lock().flows.pop_front()
    }

    /// Whether the journal has more; true once for each time it may.
    fn take_more(&self) -> bool {
        std::mem::take(&mut self.lock().more)
    }

    fn listen(&self) -> EventListener {
        self.offered.listen()
    }

    fn claim(&self) -> Result<Claimed<'_>, Error> {
        if std::mem::replace(&mut self.lock().claimed, true) {
            let message = "the flows of this process are supervised already";
            return Err(Error::new(ErrorKind::FailedPrecondition, "ALREADY_SUPERVISED", message));
        }
        Ok(Claimed(self))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change is complete at each step, so a panic elsewhere leaves the queue usable.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the claim when dropped.
struct Claimed<'q>(&'q Queue);

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.0.lock().claimed = false;
    }
}
