//! The loop of an agent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, pending};
use futures_util::stream::{BoxStream, FuturesUnordered, StreamExt};
use futures_util::{FutureExt, select_biased};
use hive_application::backoff::Backoff;
use hive_application::clock::{Clock, Timer};
use hive_application::error::{Error, ErrorKind, chain};
use hive_application::registry::{Notification, RegistryDesk};
use hive_application::tickets::TicketDesk;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::registry::public::AgentTelemetry;
use hive_domain::tickets::public::{Report, TicketAction, TicketChange, TicketSnapshot, TicketStatus};

use crate::offsets::Offsets;
use crate::simulation::{Outcome, Simulation};
use crate::telemetry::Figures;

/// Milliseconds between heartbeats.
const HEARTBEAT_MS: i64 = 30_000;
/// Milliseconds before something that got no answer is tried again; doubles with each further time.
const FIRST_WAIT_MS: i64 = 50;
const LONGEST_WAIT_MS: i64 = 5_000;
/// Milliseconds before the ticket log is followed again after it failed; doubles until it tells something.
const LOG_AWAY_MS: i64 = 200;

/// Who an agent is.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Its id.
    pub agent_id: AgentId,
    /// The incarnation it was registered as.
    pub epoch: u64,
    /// Tickets it works on at a time.
    pub max_concurrent: usize,
}

/// Takes tickets, works on them, reports.
#[derive(Clone)]
pub struct Agent {
    config: AgentConfig,
    tickets: Arc<dyn TicketDesk>,
    registry: Arc<dyn RegistryDesk>,
    timer: Arc<dyn Timer>,
    clock: Arc<dyn Clock>,
}

/// Something an agent was busy with has come to its next point.
enum Step {
    /// A ticket was taken, or turned out not to be its to take.
    Taken { offset: u64, ticket_id: TicketId, taken: Option<Box<TicketSnapshot>> },
    /// The work on a ticket is over and reported.
    Finished { ticket_id: TicketId, succeeded: bool, duration_ms: i64 },
    /// The place in the log is remembered.
    Committed,
    /// The ticket log is followed again.
    Followed(Changes),
    /// It is time for a heartbeat.
    HeartbeatDue,
    /// One was sent.
    HeartbeatSent,
    /// The registry was told that nothing more is taken.
    Closed,
}

type Steps = FuturesUnordered<BoxFuture<'static, Result<Step, Error>>>;
type Changes = BoxStream<'static, Result<Arc<TicketChange>, Error>>;

/// What an agent has in hand.
struct Work {
    offsets: Offsets,
    figures: Figures,
    steps: Steps,
    /// The ticket log; nothing while it is away.
    changes: Option<Changes>,
    /// Grows while the log is away, also while it can be opened but tells nothing.
    away: Backoff,
    /// Tickets it is taking or working on, each with the newest dispatch that was heard of meanwhile. That one may be a
    /// new try, such as after a timeout: it is taken when what is in hand is over, and refused if it is past by then.
    tickets: HashMap<TicketId, Option<Arc<TicketChange>>>,
    committing: bool,
    end: End,
}

/// How far an agent is with ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It takes tickets.
    Open,
    /// It takes none, and says so.
    Closing,
    /// That was said.
    Closed,
}

impl Agent {
    /// An agent that is registered already.
    pub fn new(
        config: AgentConfig,
        tickets: Arc<dyn TicketDesk>,
        registry: Arc<dyn RegistryDesk>,
        timer: Arc<dyn Timer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Agent { config, tickets, registry, timer, clock }
    }

    /// Works until something fails that waiting does not help against, such as a newer incarnation of itself. Whoever
    /// starts it again registers it again first: what it had in hand is fenced by the higher epoch. After `stop` it takes
    /// nothing more and ends as soon as what it has in hand is over. Drop the future to stop at once.
    pub async fn execute(&self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let from = self.tickets.committed(&self.config.agent_id).await?;
        let mut work = Work {
            offsets: Offsets::new(from),
            figures: Figures::default(),
            steps: Steps::new(),
            changes: None,
            away: Backoff::new(LOG_AWAY_MS, LONGEST_WAIT_MS, &self.config.agent_id),
            tickets: HashMap::new(),
            committing: false,
            end: End::Open,
        };
        work.steps.push(self.clone().follow(from).boxed());
        work.steps.push(self.heartbeat_later());
        let mut stop = pin!(stop.fuse());
        while work.end != End::Closed || !work.tickets.is_empty() {
            let Work { steps, changes, tickets, figures, end, .. } = &mut work;
            let has_place = *end == End::Open && tickets.len() < self.config.max_concurrent;
            let mut change = match changes {
                Some(changes) if has_place => changes.next().left_future(),
                Some(_) | None => pending().right_future(),
            }
            .fuse();
            let change = select_biased! {
                () = stop => {
                    *end = End::Closing;
                    steps.push(self.clone().close(figures.closing()).boxed());
                    continue;
                }
                step = steps.select_next_some() => {
                    self.advance(&mut work, step?);
                    None
                }
                change = change => Some(change),
            };
            match change {
                None => {}
                Some(Some(Ok(change))) => {
                    work.away.reset();
                    self.consider(&mut work, change);
                }
                Some(Some(Err(error))) if error.kind() == ErrorKind::OutOfRange => {
                    // It heard of nothing for so long. What it missed is over; what is not is kept.
                    tracing::info!(agent.id = %self.config.agent_id, "the ticket log is followed from its oldest change");
                    work.changes = None;
                    work.steps.push(self.clone().follow(0).boxed());
                }
                Some(Some(Err(error))) if !error.is_transient() => return Err(error),
                Some(gone) => {
                    let error = gone.and_then(Result::err);
                    let cause = error.as_ref().map_or_else(|| "it ended".to_owned(), |error| chain(error));
                    tracing::warn!(agent.id = %self.config.agent_id, error = cause, "the ticket log is away");
                    work.changes = None;
                    let wait_ms = work.away.wait_ms();
                    work.steps.push(self.clone().follow_again(work.offsets.seen(), wait_ms).boxed());
                }
            }
            if !work.committing
                && let Some(offset) = work.offsets.next_commit()
            {
                work.committing = true;
                work.steps.push(self.clone().commit(offset).boxed());
            }
        }
        Ok(())
    }

    /// Follows the log from `after`, as soon as it can be reached.
    async fn follow(self, after: u64) -> Result<Step, Error> {
        let mut backoff = self.backoff();
        loop {
            match self.tickets.watch(&self.config.agent_id, after).await {
                Err(error) if error.is_transient() => self.wait(&mut backoff, &error).await,
                answer => return answer.map(Step::Followed),
            }
        }
    }

    async fn follow_again(self, after: u64, wait_ms: i64) -> Result<Step, Error> {
        self.timer.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
        self.follow(after).await
    }

    /// A change of a ticket that is allocated to this agent.
    fn consider(&self, work: &mut Work, change: Arc<TicketChange>) {
        if change.event.action != TicketAction::Dispatched {
            return work.offsets.done(change.offset);
        }
        work.offsets.begin(change.offset);
        match work.tickets.entry(change.ticket.content.ticket_id.clone()) {
            Entry::Vacant(free) => {
                free.insert(None);
                work.steps.push(self.clone().take(change).boxed());
            }
            Entry::Occupied(mut busy) => {
                if let Some(older) = busy.insert(Some(change)) {
                    work.offsets.done(older.offset);
                }
            }
        }
    }

    /// Nothing of the ticket is in hand any more: takes what was dispatched meanwhile.
    fn release(&self, work: &mut Work, ticket_id: &TicketId) {
        let again = work.tickets.remove(ticket_id).flatten().filter(|_| work.end == End::Open);
        if let Some(change) = again {
            work.tickets.insert(ticket_id.clone(), None);
            work.steps.push(self.clone().take(change).boxed());
        }
    }

    fn advance(&self, work: &mut Work, step: Step) {
        match step {
            Step::Taken { offset, ticket_id, taken } => {
                work.offsets.done(offset);
                match taken {
                    Some(ticket) => work.steps.push(self.clone().work(ticket).boxed()),
                    None => self.release(work, &ticket_id),
                }
            }
            Step::Finished { ticket_id, succeeded, duration_ms } => {
                self.release(work, &ticket_id);
                work.figures.count(succeeded, duration_ms, self.clock.now());
            }
            Step::Committed => work.committing = false,
            Step::Followed(changes) => work.changes = Some(changes),
            Step::Closed => work.end = End::Closed,
            Step::HeartbeatDue => {
                let open = work.end == End::Open;
                let telemetry = if open { work.figures.telemetry() } else { work.figures.closing() };
                work.steps.push(self.clone().heartbeat(telemetry).boxed());
            }
            Step::HeartbeatSent => work.steps.push(self.heartbeat_later()),
        }
    }

    /// Takes a ticket by saying RUNNING.
    async fn take(self, change: Arc<TicketChange>) -> Result<Step, Error> {
        let ticket_id = change.ticket.content.ticket_id.clone();
        let taken = self.report(&ticket_id, TicketStatus::Running, self.sign(None)).await?.map(Box::new);
        Ok(Step::Taken { offset: change.offset, ticket_id, taken })
    }

    async fn work(self, ticket: Box<TicketSnapshot>) -> Result<Step, Error> {
        let began_at = self.clock.now();
        let ticket_id = ticket.content.ticket_id.clone();
        let simulation = Simulation::of(&ticket.content.parameters);
        if simulation.duration_ms > 0 {
            self.timer.sleep_until(began_at.plus_ms(simulation.duration_ms)).await;
        }
        let (status, report) = match simulation.outcome(ticket.state.retry_count) {
            Outcome::Completed => (TicketStatus::Completed, self.sign(None)),
            Outcome::Failed { message, retryable } => {
                (TicketStatus::Failed, self.sign(Some((message, retryable))))
            }
        };
        self.report(&ticket_id, status, report).await?;
        let succeeded = status == TicketStatus::Completed;
        Ok(Step::Finished { ticket_id, succeeded, duration_ms: self.clock.now().since(began_at) })
    }

    /// Reports until there is an answer: the ticket as it stands then, or none when it is not this incarnation's to
    /// report on.
    async fn report(
        &self,
        ticket_id: &TicketId,
        status: TicketStatus,
        report: Report,
    ) -> Result<Option<TicketSnapshot>, Error> {
        let mut backoff = self.backoff();
        loop {
            match self.tickets.report(ticket_id, status, report.clone()).await {
                Ok(ticket) => return Ok(Some(ticket)),
                Err(error) if error.kind() == ErrorKind::FailedPrecondition => {
                    let error = chain(&error);
                    tracing::debug!(ticket.id = %ticket_id, error, "report on ticket {ticket_id} refused");
                    return Ok(None);
                }
                Err(error) if error.is_transient() => self.wait(&mut backoff, &error).await,
                Err(error) => return Err(error),
            }
        }
    }

    fn sign(&self, failure: Option<(String, bool)>) -> Report {
        let (error_message, retryable) = failure.unzip();
        let agent = Some((self.config.agent_id.clone(), self.config.epoch));
        Report { agent, error_message, retryable, actual_duration_ms: None }
    }

    async fn commit(self, offset: u64) -> Result<Step, Error> {
        // Missing this costs reading the same changes again after a restart, nothing more.
        if let Err(error) = self.tickets.commit(&self.config.agent_id, offset).await {
            tracing::warn!(agent.id = %self.config.agent_id, error = chain(&error), "place in the log not remembered");
        }
        Ok(Step::Committed)
    }

    fn heartbeat_later(&self) -> BoxFuture<'static, Result<Step, Error>> {
        let (timer, due) = (Arc::clone(&self.timer), self.clock.now().plus_ms(HEARTBEAT_MS));
        async move {
            timer.sleep_until(due).await;
            Ok(Step::HeartbeatDue)
        }
        .boxed()
    }

    async fn heartbeat(self, telemetry: AgentTelemetry) -> Result<Step, Error> {
        let AgentConfig { agent_id, epoch, .. } = &self.config;
        match self.registry.heartbeat(agent_id, *epoch, telemetry).await {
            Ok(notifications) => {
                for Notification { kind, message, .. } in notifications {
                    tracing::info!(agent.id = %agent_id, kind, text = ?message, "agent {agent_id} is notified");
                }
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(agent.id = %agent_id, error = chain(&error), "heartbeat of agent {agent_id} lost");
            }
            Err(error) => return Err(error),
        }
        Ok(Step::HeartbeatSent)
    }

    async fn close(self, telemetry: AgentTelemetry) -> Result<Step, Error> {
        self.heartbeat(telemetry).await.map(|_| Step::Closed)
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(FIRST_WAIT_MS, LONGEST_WAIT_MS, &self.config.agent_id)
    }

    async fn wait(&self, backoff: &mut Backoff, error: &Error) {
        let (agent_id, wait_ms) = (&self.config.agent_id, backoff.wait_ms());
        tracing::debug!(agent.id = %agent_id, error = chain(error), "no answer; again in {wait_ms} ms");
        self.timer.sleep_until(self.clock.now().plus_ms(wait_ms)).await;
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("config", &self.config).finish_non_exhaustive()
    }
}
