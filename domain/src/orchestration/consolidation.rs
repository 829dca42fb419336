//! C5: what became of a plan, whether its tickets agree with each other, and which of them broke their service level.

use std::collections::{HashMap, HashSet};

use super::flow::{Flow, PlanStatus};
use super::generation::PlannedTicket;
use crate::ids::{IntentId, PlanId, TicketId, WorkflowId};
use crate::json::{Json, Object, members, object};
use crate::tickets::public::{RiskBand, TicketSnapshot, TicketStatus};
use crate::time::Timestamp;

/// The result of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Consolidation {
    /// The flow.
    pub workflow_id: WorkflowId,
    /// The plan.
    pub plan_id: PlanId,
    /// The intent it was made for.
    pub intent_id: IntentId,
    /// How it went, judged before anything was undone.
    pub status: PlanStatus,
    /// Where the tickets stand now.
    pub metrics: Metrics,
    /// What does not fit together; empty when all is well.
    pub errors: Vec<String>,
    /// Tickets that broke their service level.
    pub violations: Vec<Violation>,
    /// The tickets of the plan, in plan order.
    pub tickets: Vec<TicketSummary>,
    /// What was undone.
    pub compensations: Vec<Compensation>,
    /// Milliseconds left to the plan's deadline; negative when it passed.
    pub sla_remaining_ms: i64,
    /// Whether four fifths of the time to the deadline are used up.
    pub deadline_approaching: bool,
    /// When this was found.
    pub consolidated_at: Timestamp,
}

/// Numbers of a plan. Tickets are those made from tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// All tickets.
    pub total_tickets: usize,
    /// Completed.
    pub successful: usize,
    /// Failed, cancelled or preempted.
    pub failed: usize,
    /// Undone.
    pub compensated: usize,
    /// Milliseconds from the start of C2 to the end of the last ticket.
    pub total_duration_ms: i64,
    /// Tries beyond the first of each ticket.
    pub total_retries: i64,
}

/// One ticket in short.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketSummary {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Where it stands.
    pub status: TicketStatus,
    /// Milliseconds its work took.
    pub duration_ms: Option<i64>,
}

/// A broken service level: late, or longer than allowed, whatever came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The ticket.
    pub ticket_id: TicketId,
    /// When it should have been done.
    pub deadline: Timestamp,
    /// When it was done.
    pub ended_at: Timestamp,
    /// Milliseconds beyond what was allowed.
    pub delay_ms: i64,
    /// Where it stands.
    pub status: TicketStatus,
    /// Times it was tried again.
    pub retry_count: i32,
    /// Where the duration comes from.
    pub duration_source: &'static str,
}

/// One undo.
#[derive(Debug, Clone, PartialEq)]
pub struct Compensation {
    /// The ticket undone.
    pub original_ticket_id: TicketId,
    /// The ticket that undid it.
    pub compensation_ticket_id: TicketId,
    /// What went wrong; none when it worked.
    pub error: Option<String>,
}

/// Consolidates a flow whose tickets have ended. `snapshots` are all tickets of the plan as the ticket context has them.
pub fn consolidate(flow: &Flow, snapshots: &[TicketSnapshot], now: Timestamp) -> Consolidation {
    let found: HashMap<&str, &TicketSnapshot> =
        snapshots.iter().map(|snapshot| (snapshot.content.ticket_id.as_str(), snapshot)).collect();
    let planned = flow.planned();
    let own: Vec<&TicketSnapshot> =
        planned.iter().filter_map(|p| found.get(p.content.ticket_id.as_str()).copied()).collect();
    let plan = &flow.approved().plan;
    let plan_deadline = flow.deadline().unwrap_or(now);
    let violations: Vec<Violation> = own.iter().filter_map(|ticket| violation(ticket, now)).collect();
    Consolidation {
        workflow_id: flow.workflow_id().clone(),
        plan_id: plan.plan_id.clone(),
        intent_id: plan.intent_id.clone(),
        status: flow.status().unwrap_or(PlanStatus::Failed),
        metrics: metrics(&own, planned.len(), flow.opened_at()),
        errors: check(planned, &found),
        violations,
        tickets: own.iter().map(|ticket| summary(ticket)).collect(),
        compensations: compensations(flow),
        sla_remaining_ms: plan_deadline.since(now),
        deadline_approaching: is_approaching(flow.opened_at(), plan_deadline, now),
        consolidated_at: now,
    }
}

fn is_approaching(opened_at: Timestamp, deadline: Timestamp, now: Timestamp) -> bool {
    now.since(opened_at).saturating_mul(5) >= deadline.since(opened_at).saturating_mul(4)
}

fn metrics(tickets: &[&TicketSnapshot], total_tickets: usize, opened_at: Timestamp) -> Metrics {
    let mut metrics = Metrics { total_tickets, ..Metrics::default() };
    for state in tickets.iter().map(|ticket| &ticket.state) {
        match state.status {
            TicketStatus::Completed => metrics.successful += 1,
            TicketStatus::Failed | TicketStatus::Cancelled | TicketStatus::Preempted => metrics.failed += 1,
            TicketStatus::Compensated => metrics.compensated += 1,
            TicketStatus::Pending | TicketStatus::Running | TicketStatus::Compensating => {}
        }
        metrics.total_retries += i64::from(state.retry_count);
        let ended = state.completed_at.map_or(0, |at| at.since(opened_at));
        metrics.total_duration_ms = metrics.total_duration_ms.max(ended);
    }
    metrics
}

/// Late against the deadline, or longer than the timeout allows; an open ticket counts up to now.
fn violation(ticket: &TicketSnapshot, now: Timestamp) -> Option<Violation> {
    let (state, sla) = (&ticket.state, &ticket.content.sla);
    let ended_at = state.completed_at.unwrap_or(now);
    let measured = state.started_at.map(|started| ended_at.since(started));
    let (duration, duration_source) = match (state.actual_duration_ms, measured) {
        (Some(actual), _) => (actual, "actual_duration_ms"),
        (None, Some(measured)) => (measured, "timestamps"),
        (None, None) => (0, "none"),
    };
    let delay_ms = ended_at.since(sla.deadline).max(duration - sla.timeout_ms);
    (delay_ms > 0).then(|| Violation {
        ticket_id: ticket.content.ticket_id.clone(),
        deadline: sla.deadline,
        ended_at,
        delay_ms,
        status: state.status,
        retry_count: state.retry_count,
        duration_source,
    })
}

/// What must hold between the tickets of an ended plan.
fn check(planned: &[PlannedTicket], found: &HashMap<&str, &TicketSnapshot>) -> Vec<String> {
    let mut errors = Vec::new();
    for PlannedTicket { content, .. } in planned {
        let id = &content.ticket_id;
        let Some(ticket) = found.get(id.as_str()) else {
            errors.push(format!("ticket {id}: missing"));
            continue;
        };
        let state = &ticket.state;
        if ticket.content != *content {
            errors.push(format!("ticket {id}: its content is not what the plan gave it"));
        }
        if !state.status.is_terminal() {
            errors.push(format!("ticket {id}: still {} at the close", state.status));
        }
        if state.retry_count > content.sla.max_retries {
            errors.push(format!("ticket {id}: tried again {} times, more than allowed", state.retry_count));
        }
        if state.completed_at.zip(state.started_at).is_some_and(|(end, start)| end < start) {
            errors.push(format!("ticket {id}: completed before it started"));
        }
        for dependency in &content.dependencies {
            let before = found.get(dependency.as_str()).and_then(|ticket| ticket.state.completed_at);
            if state.started_at.zip(before).is_some_and(|(start, before)| start < before) {
                errors
                    .push(format!("ticket {id}: started before {dependency}, which it waits for, had ended"));
            }
        }
    }
    let mut expected: HashSet<TicketId> = planned.iter().map(|p| p.content.ticket_id.clone()).collect();
    expected.extend(planned.iter().map(|p| TicketId::for_compensation(&p.content.ticket_id)));
    let strangers = found.keys().filter(|id| !expected.contains(**id));
    errors.extend(strangers.map(|id| format!("ticket {id}: not one of this plan's")));
    errors
}

fn summary(ticket: &TicketSnapshot) -> TicketSummary {
    TicketSummary {
        ticket_id: ticket.content.ticket_id.clone(),
        status: ticket.state.status,
        duration_ms: ticket.state.actual_duration_ms,
    }
}

fn compensations(flow: &Flow) -> Vec<Compensation> {
    let nodes = flow.nodes();
    let undos = nodes.iter().filter_map(|node| node.undoes.map(|original| (node, &nodes[original as usize])));
    undos
        .map(|(undo, original)| Compensation {
            original_ticket_id: original.ticket_id.clone(),
            compensation_ticket_id: undo.ticket_id.clone(),
            error: (!undo.has_completed()).then(|| {
                undo.error_message.clone().unwrap_or_else(|| format!("the undo ended {}", undo.status))
            }),
        })
        .collect()
}

impl Consolidation {
    /// Whether the tickets agree with each other.
    pub fn is_consistent(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether somebody has to be told: tickets disagree, the plan failed, or work of high risk broke its service level.
    pub fn is_incident(&self, band: RiskBand) -> bool {
        let risky = band >= RiskBand::High && !self.violations.is_empty();
        !self.is_consistent() || self.status == PlanStatus::Failed || risky
    }

    /// The result as status queries, telemetry and `run --output json` show it, without the tickets themselves.
    pub fn to_json(&self) -> Json {
        let mut json = members([
            ("workflow_id", self.workflow_id.as_str().into()),
            ("plan_id", self.plan_id.as_str().into()),
            ("intent_id", self.intent_id.as_str().into()),
            ("status", self.status.as_str().into()),
            ("metrics", Json::Object(self.metrics_members())),
            ("consistent", self.is_consistent().into()),
            ("errors", self.errors.clone().into()),
            ("tickets_summary", Json::List(self.tickets.iter().map(summary_json).collect())),
            ("sla_status", Json::Object(self.sla_members())),
            ("sla_remaining_seconds", seconds(self.sla_remaining_ms)),
            ("budget_status", "UNKNOWN".into()),
            ("consolidated_at", self.consolidated_at.to_string().into()),
        ]);
        if !self.compensations.is_empty() {
            let results = self.compensations.iter().map(compensation_json).collect();
            json.insert("compensation_results".to_owned(), Json::List(results));
            json.insert("compensation_triggered".to_owned(), Json::Int(self.compensations.len() as i128));
        }
        Json::Object(json)
    }

    pub(super) fn metrics_members(&self) -> Object {
        let count = |number: usize| Json::Int(number as i128);
        members([
            ("total_tickets", count(self.metrics.total_tickets)),
            ("successful", count(self.metrics.successful)),
            ("failed", count(self.metrics.failed)),
            ("compensated", count(self.metrics.compensated)),
            ("total_duration_ms", self.metrics.total_duration_ms.into()),
            ("total_retries", self.metrics.total_retries.into()),
            ("sla_violations", count(self.violations.len())),
        ])
    }

    pub(super) fn sla_members(&self) -> Object {
        members([
            ("deadline_approaching", self.deadline_approaching.into()),
            ("budget_critical", false.into()),
            ("violations_count", Json::Int(self.violations.len() as i128)),
        ])
    }
}

pub(super) fn seconds(ms: i64) -> Json {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^52")]
    let seconds = ms as f64 / 1_000.0;
    seconds.into()
}

fn summary_json(ticket: &TicketSummary) -> Json {
    object([
        ("ticket_id", ticket.ticket_id.as_str().into()),
        ("status", ticket.status.as_str().into()),
        ("duration", ticket.duration_ms.into()),
    ])
}

fn compensation_json(compensation: &Compensation) -> Json {
    let status = if compensation.error.is_none() { "triggered" } else { "failed" };
    let mut json = members([
        ("original_ticket_id", compensation.original_ticket_id.as_str().into()),
        ("compensation_ticket_id", compensation.compensation_ticket_id.as_str().into()),
        ("status", status.into()),
    ]);
    json.extend(compensation.error.as_deref().map(|error| ("error".to_owned(), error.into())));
    Json::Object(json)
}
