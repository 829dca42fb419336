//! Drives flows by their journal: folds what is remembered, carries out what the flow asks for, remembers what happens.
//!
//! No decision is made here. What the ticket log tells may be journaled after it was acted upon, because the log itself
//! is durable and tells it again; what the flow itself resolves is journaled before.

use std::pin::pin;
use std::sync::Arc;

use event_listener::EventListener;
use futures_util::future::{Either, join, select};
use futures_util::stream::{BoxStream, StreamExt};
use hive_domain::ids::{PlanId, TicketId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::flow::{Flow, FlowConfig, FlowEntry, Phase, Step, TicketRecord};
use hive_domain::tickets::public::{Order, TicketChange, TicketStatus};
use hive_domain::time::Timestamp;
use tracing::{Instrument as _, Span};

use super::agent_pool::AgentPool;
use super::observer::Progress;
use super::ports::{JournalEntry, JournalWrite, StoredFlow};
use super::{
    Dependencies, SPAN_TARGET, allocate_agents, consolidate_results, flow_view, generate_tickets,
    publish_tickets,
};
use crate::backoff::Backoff;
use crate::error::{Error, chain};

/// Changes taken in at once.
const CHUNK: usize = 256;
/// Milliseconds to wait after the first failed attempt; doubles with each further one.
const FIRST_WAIT_MS: i64 = 100;
const LONGEST_WAIT_MS: i64 = 10_000;
/// Milliseconds after which an attempt did not fail at once.
const HELD_OUT_MS: i64 = 60_000;
/// Milliseconds after which agents are looked for again when the registry was away.
const LOOK_AGAIN_MS: i64 = 1_000;

/// Runs flows to their end.
#[derive(Clone)]
pub struct JournalDriver {
    dependencies: Dependencies,
    pool: Arc<AgentPool>,
    config: FlowConfig,
}

type Changes = BoxStream<'static, Vec<Result<Arc<TicketChange>, Error>>>;

impl JournalDriver {
    pub(super) fn new(dependencies: Dependencies, pool: Arc<AgentPool>, config: FlowConfig) -> Self {
        JournalDriver { dependencies, pool, config }
    }

    /// Runs a flow to its end and hands back its result, that of C5. As long as something needed is away it waits and
    /// takes the flow up again; any other error is for the caller.
    pub async fn execute(&self, workflow_id: &WorkflowId) -> Result<Json, Error> {
        let clock = &self.dependencies.clock;
        let mut backoff = Backoff::new(FIRST_WAIT_MS, LONGEST_WAIT_MS, workflow_id);
        loop {
            let began_at = clock.now();
            let error = match self.attempt(workflow_id).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            if clock.now().since(began_at) > HELD_OUT_MS {
                backoff.reset();
            }
            let wait_ms = backoff.wait_ms();
            tracing::warn!(workflow.id = %workflow_id, error = chain(&error), "flow {workflow_id} waits {wait_ms} ms");
            self.dependencies.timer.sleep_until(clock.now().plus_ms(wait_ms)).await;
        }
    }

    async fn attempt(&self, workflow_id: &WorkflowId) -> Result<Json, Error> {
        let stored = self.dependencies.journal.find(workflow_id).await?;
        let stored = stored.ok_or_else(|| Error::not_found("Workflow", workflow_id))?;
        if let Some(outcome) = stored.outcome {
            return Ok(outcome);
        }
        let _places = Places { pool: &self.pool, plan_id: stored.opening.plan_id.clone() };
        let flow = self.take_up(&stored)?;
        let plan_id = &flow.approved().plan.plan_id;
        let changes = self.dependencies.tickets.watch(plan_id, flow.read_to()).await?;
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "orchestration_workflow.run",
            neural.hive.workflow.id = %flow.workflow_id(),
            neural.hive.plan.id = %plan_id,
            neural.hive.intent.id = %flow.approved().plan.intent_id,
            neural.hive.workflow.type = "orchestration",
        );
        self.dependencies.observer.opened(&flow, &span);
        let mut run = Run {
            generation: self.pool.generation(),
            driver: self,
            phase: flow.phase(),
            changes: changes.ready_chunks(CHUNK).boxed(),
            unsaved: Vec::new(),
            look_again_at: None,
            flow,
        };
        run.finish().instrument(span).await
    }

    /// The flow as its journal remembers it, with the places of its tickets booked.
    fn take_up(&self, stored: &StoredFlow) -> Result<Flow, Error> {
        let flow = flow_view::fold(stored, &self.config)?.flow;
        for node in flow.nodes() {
            if let (TicketStatus::Running, Some(agent)) = (node.status, &node.agent) {
                self.pool.hold(&node.ticket_id, agent, &node.content);
            }
        }
        self.dependencies.observer.observe(&flow, Progress::TakenUp);
        Ok(flow)
    }
}

/// The places that a plan's tickets have with agents, as far as one attempt booked them. Without the attempt nobody
/// would notice that they become free.
struct Places<'p> {
    pool: &'p AgentPool,
    plan_id: PlanId,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.pool.free_plan(&self.plan_id);
    }
}

/// One attempt to bring one flow to its end.
struct Run<'d> {
    driver: &'d JournalDriver,
    flow: Flow,
    phase: Phase,
    changes: Changes,
    /// Entries already taken in but not yet journaled.
    unsaved: Vec<JournalEntry>,
    /// State of the pool when tickets were last set aside.
    generation: u64,
    /// When to look for agents again, because the registry was away.
    look_again_at: Option<Timestamp>,
}

impl Run<'_> {
    async fn finish(&mut self) -> Result<Json, Error> {
        let dependencies = &self.driver.dependencies;
        loop {
            let place = self.driver.pool.listen();
            let now = dependencies.clock.now();
            let mut orders = Vec::new();
            let steps = self.flow.steps(now);
            let idle = steps.is_empty();
            for step in steps {
                match step {
                    Step::GenerateTickets => {
                        let planned = self.flow.planned().len();
                        let span = tracing::info_span!(target: SPAN_TARGET, "orchestrator.generate_tickets", planned);
                        generate_tickets::execute(&self.flow, &*dependencies.tickets)
                            .instrument(span)
                            .await?;
                        self.enter(FlowEntry::TicketsGenerated { at: dependencies.clock.now() }).await?;
                    }
                    Step::Enter(entry) => self.enter(entry).await?,
                    Step::Order(ticket_id, order) => orders.push((ticket_id, order)),
                    Step::Consolidate => {
                        let unsaved = std::mem::take(&mut self.unsaved);
                        let (tickets, journal) = (&*dependencies.tickets, &*dependencies.journal);
                        let span =
                            tracing::info_span!(target: SPAN_TARGET, "orchestrator.consolidate_results");
                        let outcome =
                            consolidate_results::execute(&mut self.flow, unsaved, tickets, journal, now)
                                .instrument(span)
                                .await?;
                        self.tell_phase();
                        return Ok(outcome);
                    }
                }
            }
            self.look_for_agents(&mut orders).await?;
            let busy = !idle || !orders.is_empty();
            let span = if orders.is_empty() {
                Span::none()
            } else {
                tracing::info_span!(target: SPAN_TARGET, "orchestrator.publish_tickets", orders = orders.len())
            };
            let publish = publish_tickets::execute(orders, &*dependencies.tickets).instrument(span);
            let unsaved = std::mem::take(&mut self.unsaved);
            let save = save(dependencies, &self.flow, unsaved);
            let (published, saved) = join(publish, save).await;
            published.and(saved)?;
            if !busy {
                self.wait(place).await?;
            }
        }
    }

    /// C3, after everything set aside got another chance if agents changed.
    async fn look_for_agents(&mut self, orders: &mut Vec<(TicketId, Order)>) -> Result<(), Error> {
        let (pool, dependencies) = (&self.driver.pool, &self.driver.dependencies);
        let now = dependencies.clock.now();
        let generation = pool.generation();
        if generation != self.generation {
            self.generation = generation;
            self.flow.unpark(now);
        }
        let allocated = allocate_agents::execute(&mut self.flow, pool, now).await?;
        self.look_again_at = allocated.incomplete.then(|| now.plus_ms(LOOK_AGAIN_MS));
        for entry in allocated.parked {
            if let FlowEntry::Parked { ticket_id, reason, .. } = &entry {
                dependencies.observer.observe(&self.flow, Progress::Parked(ticket_id, reason));
            }
            self.unsaved.push(journal_entry(&entry));
        }
        orders.extend(allocated.orders.into_iter().map(publish_tickets::dispatch));
        Ok(())
    }

    /// Journals, then takes in, what the flow resolved.
    async fn enter(&mut self, entry: FlowEntry) -> Result<(), Error> {
        self.unsaved.push(journal_entry(&entry));
        let unsaved = std::mem::take(&mut self.unsaved);
        save(&self.driver.dependencies, &self.flow, unsaved).await?;
        self.flow.apply(&entry);
        self.tell_phase();
        Ok(())
    }

    /// Waits until a ticket changes, an alarm is due, or an agent may have a place for a ticket that waits.
    async fn wait(&mut self, place: EventListener) -> Result<(), Error> {
        let dependencies = &self.driver.dependencies;
        let alarm = self.flow.wake_at().into_iter().chain(self.look_again_at).min();
        let alarm = async {
            match alarm {
                Some(at) => dependencies.timer.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let alarm = pin!(alarm);
        match select(self.changes.next(), select(alarm, place)).await {
            Either::Left((chunk, _)) => self.take_in(chunk),
            Either::Right(_) => Ok(()),
        }
    }

    fn take_in(&mut self, chunk: Option<Vec<Result<Arc<TicketChange>, Error>>>) -> Result<(), Error> {
        let Some(chunk) = chunk else { return Err(Error::internal("the ticket log ended")) };
        for change in chunk {
            let change = change?;
            if change.offset <= self.flow.read_to() {
                continue;
            }
            let record = TicketRecord::from(&*change);
            let content = &change.ticket.content;
            match (&record.agent, record.status) {
                (Some(agent), TicketStatus::Running) => {
                    self.driver.pool.hold(&record.ticket_id, agent, content);
                }
                _ => self.driver.pool.free(&record.ticket_id, change.ticket.state.actual_duration_ms),
            }
            let entry = FlowEntry::TicketChanged(record);
            self.flow.apply(&entry);
            if let FlowEntry::TicketChanged(record) = &entry {
                self.driver.dependencies.observer.observe(&self.flow, Progress::Ticket(record));
            }
            // What creation brings is remembered as a whole when C2 is done.
            if change.event.old_status.is_some() {
                self.unsaved.push(journal_entry(&entry));
            }
        }
        self.tell_phase();
        Ok(())
    }

    fn tell_phase(&mut self) {
        let phase = self.flow.phase();
        if phase != self.phase {
            self.phase = phase;
            self.driver.dependencies.observer.observe(&self.flow, Progress::Entered(phase));
        }
    }
}

async fn save(dependencies: &Dependencies, flow: &Flow, entries: Vec<JournalEntry>) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let write = JournalWrite {
        workflow_id: flow.workflow_id().clone(),
        entries,
        messages: Vec::new(),
        outcome: None,
        at: dependencies.clock.now(),
    };
    dependencies.journal.append(write).await
}

/// A flow's entry as the journal files it.
pub(super) fn journal_entry(entry: &FlowEntry) -> JournalEntry {
    JournalEntry { kind: entry.kind().to_owned(), payload: entry.payload() }
}

impl std::fmt::Debug for JournalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalDriver").field("config", &self.config).finish_non_exhaustive()
    }
}
