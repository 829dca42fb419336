//! Measures flows as they go. A change is counted by its place in the ticket log, once, however often a flow is taken up
//! again in this process until it ends or stops.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_application::orchestration::{FlowObserver, Progress};
use hive_domain::ids::{TicketId, WorkflowId};
use hive_domain::orchestration::flow::{Flow, Node, Phase, PlanStatus, TicketRecord};
use hive_domain::tickets::TicketAction;
use hive_domain::tickets::public::{RiskBand, TaskType, TicketStatus};
use hive_domain::time::Timestamp;
use metrics::{Counter, Gauge, Histogram};

use super::series::Series;
use super::traces;

/// Of the time from creation to deadline, what may be used up before the deadline counts as approaching: four fifths.
const CALM: (i64, i64) = (4, 5);

/// What is measured of flows.
#[derive(Debug)]
pub(crate) struct Flows {
    under_way: Mutex<HashMap<WorkflowId, UnderWay>>,
    started: Series<Counter>,
    ended: Series<Counter>,
    duration: Series<Histogram>,
    active: Series<Gauge>,
    generated: Series<Counter>,
    published: Series<Counter>,
    tickets: Series<Counter>,
    retries: Series<Counter>,
    violations: Series<Counter>,
    remaining: Series<Gauge>,
    approaching: Series<Counter>,
    undos_begun: Series<Counter>,
    undos_ended: Series<Counter>,
    undo_seconds: Series<Histogram>,
    resources: Series<Counter>,
    allocations: Series<Counter>,
    rejections: Series<Counter>,
    remembered: Series<Counter>,
}

/// A flow that this process drives.
#[derive(Debug)]
struct UnderWay {
    /// How far its changes are counted.
    read_to: u64,
    band: RiskBand,
    deadline: Option<Timestamp>,
    /// When the deadline of each open ticket begins to approach.
    alarms: BTreeSet<(Timestamp, TicketId)>,
}

impl Flows {
    /// Registers with the recorder of the process, which has to be there.
    pub(crate) fn new() -> Self {
        Flows {
            under_way: Mutex::default(),
            started: Series::of("orchestration_workflows_started_total"),
            ended: Series::of("orchestration_workflows_completed_total"),
            duration: Series::of("orchestration_workflow_duration_seconds"),
            active: Series::of("orchestration_workflows_active"),
            generated: Series::of("orchestration_tickets_generated_total"),
            published: Series::of("orchestration_tickets_published_total"),
            tickets: Series::of("orchestration_tickets_completed_total"),
            retries: Series::of("orchestration_retries_total"),
            violations: Series::of("orchestration_sla_violations_total"),
            remaining: Series::of("orchestration_sla_remaining_seconds"),
            approaching: Series::of("orchestration_deadline_approaching_total"),
            undos_begun: Series::of("orchestration_compensations_triggered_total"),
            undos_ended: Series::of("orchestration_compensations_executed_total"),
            undo_seconds: Series::of("orchestration_compensation_duration_seconds"),
            resources: Series::of("orchestration_resource_allocations_total"),
            allocations: Series::of("orchestration_scheduler_allocations_total"),
            rejections: Series::of("orchestration_scheduler_rejections_total"),
            remembered: Series::of("orchestration_scheduler_cache_hits_total"),
        }
    }

    /// Brings up to date what changes by the passing of time alone. Called before a scrape: nothing ticks in between.
    pub(crate) fn look(&self, now: Timestamp) {
        let mut least: [Option<i64>; RiskBand::ALL.len()] = [None; RiskBand::ALL.len()];
        for flow in self.lock().values_mut() {
            if let (Some(deadline), Some(least)) = (flow.deadline, least.get_mut(flow.band as usize)) {
                let left = deadline.since(now);
                *least = Some(least.map_or(left, |least| least.min(left)));
            }
            while flow.alarms.first().is_some_and(|(at, _)| *at <= now) {
                flow.alarms.pop_first();
                self.approaching.first().increment(1);
            }
        }
        for (band, least) in least.into_iter().enumerate() {
            self.remaining.at([band]).set(seconds(least.unwrap_or(0)));
        }
    }

    fn taken_up(&self, flow: &Flow) {
        let mut under_way = self.lock();
        under_way.entry(flow.workflow_id().clone()).or_insert_with(|| UnderWay {
            read_to: flow.read_to(),
            band: flow.approved().plan.risk_band,
            deadline: flow.deadline(),
            alarms: flow.nodes().iter().filter(|node| node.is_open()).filter_map(alarm).collect(),
        });
        self.active.first().set(under_way.len() as f64);
    }

    fn generated(&self, flow: &Flow) {
        self.started.at([0, band(flow)]).increment(1);
        for node in flow.nodes().iter().filter(|node| node.undoes.is_none()) {
            let content = &node.content;
            let places = [content.task_type as usize, content.risk_band as usize, content.priority as usize];
            self.generated.at(places).increment(1);
        }
    }

    fn left(&self, workflow_id: &WorkflowId) {
        let mut under_way = self.lock();
        under_way.remove(workflow_id);
        self.active.first().set(under_way.len() as f64);
    }

    fn ended(&self, flow: &Flow) {
        self.left(flow.workflow_id());
        let status = flow.status().unwrap_or(PlanStatus::Failed) as usize;
        self.ended.at([status, band(flow)]).increment(1);
        let last = flow.nodes().iter().filter_map(|node| node.completed_at).max();
        let took = last.map_or(0, |last| last.since(flow.opened_at()));
        self.duration.at([status, band(flow)]).record(seconds(took.max(0)));
        for node in flow.nodes().iter().filter(|node| node.undoes.is_none() && is_late(node)) {
            let places = [node.content.risk_band as usize, node.content.task_type as usize];
            self.violations.at(places).increment(1);
        }
    }

    fn ticket(&self, flow: &Flow, record: &TicketRecord) {
        let Some(node) = flow.node(&record.ticket_id) else { return };
        if !self.is_news(flow, node, record) {
            return;
        }
        let task_type = if node.undoes.is_some() { TaskType::Compensate } else { node.content.task_type };
        match record.action {
            TicketAction::Dispatched => {
                self.published.at([0]).increment(1);
                self.resources.at([0]).increment(1);
                self.allocations.at([0, 0, 0]).increment(1);
            }
            TicketAction::Retried => {
                let attempt = usize::try_from(record.retry_count - 1).unwrap_or(0).min(4);
                self.retries.at([task_type as usize, attempt]).increment(1);
            }
            TicketAction::CompensationStarted => self.undos_begun.at([0]).increment(1),
            TicketAction::Completed
            | TicketAction::Failed
            | TicketAction::Cancelled
            | TicketAction::Preempted
            | TicketAction::Compensated => {
                self.tickets.at([record.status as usize, task_type as usize]).increment(1);
            }
            TicketAction::Created
            | TicketAction::Annotated
            | TicketAction::Started
            | TicketAction::Released => {}
        }
        if node.undoes.is_some() && !node.is_open() {
            let status = usize::from(node.status != TicketStatus::Completed);
            self.undos_ended.at([0, status]).increment(1);
            if let (Some(started), Some(completed)) = (node.started_at, node.completed_at) {
                self.undo_seconds.at([0, status]).record(seconds(completed.since(started)));
            }
        }
    }

    /// Whether the change was not counted before; then it is.
    fn is_news(&self, flow: &Flow, node: &Node, record: &TicketRecord) -> bool {
        let mut under_way = self.lock();
        let Some(known) = under_way.get_mut(flow.workflow_id()) else { return true };
        if record.offset <= known.read_to {
            return false;
        }
        known.read_to = record.offset;
        if let Some(alarm) = alarm(node).filter(|_| !node.is_open())
            && known.alarms.remove(&alarm)
            && alarm.0 <= record.at
        {
            self.approaching.first().increment(1);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkflowId, UnderWay>> {
        // Every change is complete at each step, so a panic elsewhere leaves it usable.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FlowObserver for Flows {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        match progress {
            Progress::TakenUp => self.taken_up(flow),
            Progress::Entered(Phase::Executing) => self.generated(flow),
            Progress::Entered(Phase::Ended) => self.ended(flow),
            Progress::Entered(_) => {}
            Progress::Ticket(record) => self.ticket(flow, record),
            Progress::Parked(..) => {
                self.resources.at([1]).increment(1);
                self.allocations.at([1, 0, 0]).increment(1);
                self.rejections.at([0]).increment(1);
            }
        }
    }

    fn stopped(&self, workflow_id: &WorkflowId) {
        self.left(workflow_id);
    }

    fn opened(&self, flow: &Flow, span: &tracing::Span) {
        let decision = &flow.approved().decision;
        if let Some(trace) = traces::stored(decision.trace_id.as_deref(), decision.span_id.as_deref()) {
            traces::join(span, &trace);
        }
    }

    fn agents_were_known(&self) {
        self.remembered.first().increment(1);
    }
}

fn band(flow: &Flow) -> usize {
    flow.approved().plan.risk_band as usize
}

fn seconds(ms: i64) -> f64 {
    let magnitude = Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    if ms < 0 { -magnitude } else { magnitude }
}

/// When the deadline of a task begins to approach.
fn alarm(node: &Node) -> Option<(Timestamp, TicketId)> {
    if node.undoes.is_some() {
        return None;
    }
    let (created_at, (part, whole)) = (node.content.created_at, CALM);
    let calm = node.deadline.since(created_at).saturating_mul(part) / whole;
    Some((created_at.plus_ms(calm), node.ticket_id.clone()))
}

/// After its deadline, or longer at work than agreed.
fn is_late(node: &Node) -> bool {
    let Some(completed) = node.completed_at else { return false };
    let too_long = node.started_at.is_some_and(|started| completed.since(started) > node.timeout_ms);
    too_long || completed > node.deadline
}

#[cfg(test)]
mod tests;
