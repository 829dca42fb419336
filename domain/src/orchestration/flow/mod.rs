//! Flow C as a pure state machine: given what happened so far, what is to be done next.
//!
//! A driver feeds it [`FlowEntry`]s and carries out its [`Step`]s. Every step is idempotent, so a driver that died may
//! carry one out again; every entry with a place in the ticket log counts once, so it may be told again.
//!
//! Each task, and each undo of one, is a *node*. A node is *open* until its ticket has ended and no retry is due.

mod config;
mod entry;
mod node;
mod reaction;
mod schedule;
mod step;
mod undo;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use config::{Backoff, FlowConfig};
pub use entry::{FlowEntry, PlanStatus, TicketRecord};
pub use node::Node;
pub use step::{Phase, Ready, Step, TIMED_OUT};

pub use schedule::Need;
use schedule::{Alarm, Alarms, ReadyQueue};

use super::allocation::priority_score;
use super::generation::{PlannedTicket, generate};
use super::graph::Readiness;
use super::plan::ApprovedPlan;
use crate::ids::{TicketId, WorkflowId};
use crate::tickets::public::{Order, TicketStatus};
use crate::time::Timestamp;

/// One plan on its way through Flow C.
#[derive(Debug, Clone)]
pub struct Flow {
    workflow_id: WorkflowId,
    approved: Arc<ApprovedPlan>,
    opened_at: Timestamp,
    config: FlowConfig,
    planned: Vec<PlannedTicket>,
    phase: Phase,
    status: Option<PlanStatus>,
    nodes: Vec<Node>,
    index: HashMap<TicketId, u32>,
    readiness: Readiness,
    ready: ReadyQueue,
    parked: BTreeSet<u32>,
    alarms: Alarms,
    orders: Vec<Step>,
    open: usize,
    undo: undo::Undo,
    read_to: u64,
    generation_asked: bool,
    ending_asked: bool,
}

impl Flow {
    /// A flow whose plan passed C1 at `opened_at`.
    pub fn new(
        workflow_id: WorkflowId,
        approved: Arc<ApprovedPlan>,
        opened_at: Timestamp,
        config: FlowConfig,
    ) -> Self {
        let planned = generate(&approved, &workflow_id, opened_at, &config.sla);
        let graph = &approved.plan.graph;
        let mut nodes: Vec<Option<Node>> = vec![None; graph.len()];
        for (index, planned) in graph.order().iter().zip(&planned) {
            nodes[*index as usize] = Some(Node::task(Arc::clone(&planned.content)));
        }
        let nodes: Vec<Node> = nodes.into_iter().flatten().collect();
        let index = (0_u32..).zip(&nodes).map(|(at, node)| (node.ticket_id.clone(), at)).collect();
        let readiness = Readiness::new(graph);
        Flow {
            workflow_id,
            opened_at,
            config,
            planned,
            phase: Phase::Generating,
            status: None,
            open: nodes.len(),
            nodes,
            index,
            readiness,
            ready: ReadyQueue::default(),
            parked: BTreeSet::new(),
            alarms: Alarms::default(),
            orders: Vec::new(),
            undo: undo::Undo::default(),
            read_to: 0,
            generation_asked: false,
            ending_asked: false,
            approved,
        }
    }

    /// The flow.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.workflow_id
    }

    /// The plan it runs.
    pub fn approved(&self) -> &Arc<ApprovedPlan> {
        &self.approved
    }

    /// When C2 began.
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How the plan went, once every ticket ended.
    pub fn status(&self) -> Option<PlanStatus> {
        self.status
    }

    /// The tickets of C2, each after everything it depends on.
    pub fn planned(&self) -> &[PlannedTicket] {
        &self.planned
    }

    /// Its tickets as far as the flow knows: one a task, then the undos.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of a ticket of this flow.
    pub fn node(&self, ticket_id: &TicketId) -> Option<&Node> {
        self.nodes.get(*self.index.get(ticket_id.as_str())? as usize)
    }

    /// When the plan must be done: when it loses its validity, at the latest with the last of its tickets.
    pub fn deadline(&self) -> Option<Timestamp> {
        let tickets = self.planned.iter().map(|planned| planned.content.sla.deadline).max();
        tickets.into_iter().chain(self.approved.plan.valid_until).min()
    }

    /// How far the ticket log was taken in.
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Nodes and edges touched so far to find out what may start.
    pub fn readiness_work(&self) -> u64 {
        self.readiness.work()
    }

    /// Takes in what happened.
    pub fn apply(&mut self, entry: &FlowEntry) {
        match entry {
            FlowEntry::TicketsGenerated { at } => {
                if self.phase == Phase::Generating {
                    self.phase = Phase::Executing;
                    for node in self.readiness.ready(&self.approved.plan.graph) {
                        self.enqueue(node, *at);
                    }
                }
            }
            FlowEntry::TicketChanged(record) => self.apply_change(record),
            FlowEntry::Parked { ticket_id, reason, .. } => {
                if let Some(node) = self.index.get(ticket_id.as_str()) {
                    self.nodes[*node as usize].parked = Some(reason.clone());
                }
            }
            FlowEntry::ExecutionEnded { status, undo, .. } => self.end_execution(*status, undo),
            FlowEntry::Closed { .. } => self.phase = Phase::Ended,
        }
    }

    /// What has to be done now, each once. Allocation is asked for separately, see [`Self::next_ready`].
    pub fn steps(&mut self, now: Timestamp) -> Vec<Step> {
        self.ring_alarms(now);
        let mut steps: Vec<Step> = std::mem::take(&mut self.orders);
        steps.retain(|step| self.is_still_due(step));
        match self.phase {
            Phase::Generating if !self.generation_asked => {
                self.generation_asked = true;
                steps.push(Step::GenerateTickets);
            }
            Phase::Executing if self.open == 0 && !self.ending_asked => {
                self.ending_asked = true;
                let (status, undo) = self.verdict();
                steps.push(Step::Enter(FlowEntry::ExecutionEnded { status, undo, at: now }));
            }
            Phase::Consolidating if !self.ending_asked => {
                self.ending_asked = true;
                steps.push(Step::Consolidate);
            }
            _ => {}
        }
        steps
    }

    /// When to call [`Self::steps`] again if nothing happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.alarms.next()
    }

    /// The most urgent ticket that waits for an agent, unless its need is among `busy`. It leaves the queue: dispatch
    /// it, [`Self::put_back`] or [`Self::park`] it.
    pub fn next_ready(&mut self, busy: &BTreeSet<Need>) -> Option<Ready> {
        loop {
            let at = self.ready.pop(busy)?;
            // What is told again after a restart, or happened since, may have taken the ticket off the queue.
            let queued = std::mem::take(&mut self.nodes[at as usize].queued);
            let node = &self.nodes[at as usize];
            if queued && node.status == TicketStatus::Pending && !node.cancelled && self.is_released(at) {
                return Some(Ready {
                    node: at,
                    need: self.ready.need(&node.content),
                    ticket_id: node.ticket_id.clone(),
                    content: Arc::clone(&node.content),
                    not_before: self.not_before(at),
                });
            }
        }
    }

    /// Returns a ticket to the queue: every place is taken, or the order could not be given.
    pub fn put_back(&mut self, ready: &Ready, now: Timestamp) {
        self.enqueue(ready.node, now);
    }

    /// Sets a ticket aside until agents change or its deadline passes. Returns the entry to make, unless it stands.
    pub fn park(&mut self, ready: &Ready, reason: String, now: Timestamp) -> Option<FlowEntry> {
        self.parked.insert(ready.node);
        let node = &mut self.nodes[ready.node as usize];
        self.alarms.set(node.deadline, Alarm::Deadline(ready.node));
        if node.parked.as_ref() == Some(&reason) {
            return None;
        }
        node.parked = Some(reason.clone());
        Some(FlowEntry::Parked { ticket_id: ready.ticket_id.clone(), reason, at: now })
    }

    /// Agents changed: everything set aside gets another chance.
    pub fn unpark(&mut self, now: Timestamp) {
        for node in std::mem::take(&mut self.parked) {
            if self.nodes[node as usize].status == TicketStatus::Pending {
                self.enqueue(node, now);
            }
        }
    }

    fn enqueue(&mut self, at: u32, now: Timestamp) {
        let node = &mut self.nodes[at as usize];
        if node.cancelled || std::mem::replace(&mut node.queued, true) {
            return;
        }
        let content = Arc::clone(&node.content);
        let score = priority_score(&content, now, &self.config.allocation.priority).value;
        let need = self.ready.need(&content);
        self.ready.push(need, score, at);
    }

    /// Whether a step still changes something: an order told again after a restart may have been carried out.
    fn is_still_due(&self, step: &Step) -> bool {
        let Step::Order(ticket_id, order) = step else { return true };
        let Some(at) = self.index.get(ticket_id.as_str()) else { return false };
        let status = self.nodes[*at as usize].status;
        match order {
            Order::Dispatch(_) | Order::Cancel(_) => status == TicketStatus::Pending,
            Order::Retry => status == TicketStatus::Failed,
            Order::Lose(..) => status == TicketStatus::Running,
            Order::Compensated => status == TicketStatus::Compensating,
            Order::Fail(_) => matches!(status, TicketStatus::Pending | TicketStatus::Compensating),
            Order::Compensate(_) => !self.has_undo(ticket_id),
        }
    }

    /// Whether everything the node waits for has completed.
    fn is_released(&self, at: u32) -> bool {
        self.phase != Phase::Generating
            && (self.nodes[at as usize].undoes.is_some()
                || self.dependencies(at).iter().all(|d| self.nodes[*d as usize].has_completed()))
    }

    fn not_before(&self, at: u32) -> Option<Timestamp> {
        self.dependencies(at).iter().filter_map(|d| self.nodes[*d as usize].completed_at).max()
    }

    fn dependencies(&self, at: u32) -> &[u32] {
        let graph = &self.approved.plan.graph;
        if (at as usize) < graph.len() { graph.dependencies(at) } else { &[] }
    }
}
