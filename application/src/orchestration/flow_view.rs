//! How a flow stands, for those who ask: its phase, its tickets by status, its deadline.

use std::collections::BTreeMap;
use std::sync::Arc;

use hive_domain::ids::{IntentId, PlanId, TicketId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::flow::{Flow, FlowConfig, FlowEntry, Phase, PlanStatus};
use hive_domain::orchestration::plan::ApprovedPlan;
use hive_domain::tickets::public::TicketStatus;
use hive_domain::time::Timestamp;

use super::ports::StoredFlow;
use crate::error::Error;

/// How a flow stands.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowView {
    /// The flow.
    pub workflow_id: WorkflowId,
    /// The plan it runs.
    pub plan_id: PlanId,
    /// The intent the plan was made for; none when the remembered plan cannot be read.
    pub intent_id: Option<IntentId>,
    /// The step it is at.
    pub phase: Phase,
    /// How the plan went, once every ticket ended; judged before anything is undone.
    pub plan_status: Option<PlanStatus>,
    /// The tickets made from tasks.
    pub tickets: TicketCounts,
    /// Tickets that no agent suits, and why.
    pub parked: BTreeMap<TicketId, String>,
    /// When C2 began.
    pub opened_at: Timestamp,
    /// When something last happened.
    pub updated_at: Timestamp,
    /// When the plan must be done.
    pub deadline: Option<Timestamp>,
    /// Why it stopped without an end. It is taken up again when its plan is submitted again, or at the next start.
    pub failure: Option<String>,
    /// The result, once it ended.
    pub outcome: Option<Json>,
}

impl FlowView {
    /// The word for where it stands: that of its phase, `failed` when its plan failed or it stopped without an end.
    pub fn status(&self) -> &'static str {
        match (&self.failure, self.phase, self.plan_status) {
            (Some(_), _, _) | (None, Phase::Ended, Some(PlanStatus::Failed)) => "failed",
            (None, phase, _) => phase.as_str(),
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_over(&self) -> bool {
        self.failure.is_some() || self.phase == Phase::Ended
    }

    /// How `flow` stands.
    pub(super) fn of(flow: &Flow, updated_at: Timestamp) -> Self {
        let plan = &flow.approved().plan;
        let parked =
            flow.nodes().iter().filter_map(|node| Some((node.ticket_id.clone(), node.parked.clone()?)));
        FlowView {
            workflow_id: flow.workflow_id().clone(),
            plan_id: plan.plan_id.clone(),
            intent_id: Some(plan.intent_id.clone()),
            phase: flow.phase(),
            plan_status: flow.status(),
            tickets: TicketCounts::of(flow),
            parked: parked.collect(),
            opened_at: flow.opened_at(),
            updated_at,
            deadline: flow.deadline(),
            failure: None,
            outcome: None,
        }
    }

    /// How a remembered flow stands. One that cannot be read says so as its failure, unless its result is known.
    pub(super) fn of_stored(stored: &StoredFlow, config: &FlowConfig) -> Self {
        let view = match fold(stored, config) {
            Ok(Folded { flow, updated_at }) => Self::of(&flow, updated_at),
            Err(error) => Self::unreadable(stored, &error),
        };
        FlowView { outcome: stored.outcome.clone(), ..view }
    }

    fn unreadable(stored: &StoredFlow, error: &Error) -> Self {
        let StoredFlow { opening, outcome, .. } = stored;
        let plan_status = outcome.as_ref().and_then(|outcome| outcome.get("status")?.as_text());
        FlowView {
            workflow_id: opening.workflow_id.clone(),
            plan_id: opening.plan_id.clone(),
            intent_id: None,
            phase: if outcome.is_some() { Phase::Ended } else { Phase::Generating },
            plan_status: plan_status.and_then(PlanStatus::parse),
            tickets: TicketCounts::default(),
            parked: BTreeMap::new(),
            opened_at: opening.opened_at,
            updated_at: opening.opened_at,
            deadline: None,
            failure: outcome.is_none().then(|| error.to_string()),
            outcome: None,
        }
    }
}

/// Tickets by status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketCounts(BTreeMap<TicketStatus, u32>);

impl TicketCounts {
    /// Tickets in a status.
    pub fn in_status(&self, status: TicketStatus) -> u32 {
        self.0.get(&status).copied().unwrap_or_default()
    }

    /// All tickets.
    pub fn total(&self) -> u32 {
        self.0.values().sum()
    }

    /// Completed tickets of all tickets, 0 to 100; 0 of none.
    pub fn progress_percent(&self) -> f64 {
        match self.total() {
            0 => 0.0,
            total => f64::from(self.in_status(TicketStatus::Completed)) / f64::from(total) * 100.0,
        }
    }

    pub(super) fn moved(&mut self, from: TicketStatus, to: TicketStatus) {
        if let Some(count) = self.0.get_mut(&from) {
            *count = count.saturating_sub(1);
        }
        *self.0.entry(to).or_default() += 1;
    }

    fn of(flow: &Flow) -> Self {
        let mut counts = TicketCounts::default();
        for node in flow.nodes().iter().filter(|node| node.undoes.is_none()) {
            *counts.0.entry(node.status).or_default() += 1;
        }
        counts
    }
}

/// A flow as its journal remembers it.
pub(super) struct Folded {
    pub(super) flow: Flow,
    pub(super) updated_at: Timestamp,
}

/// Folds a journal.
pub(super) fn fold(stored: &StoredFlow, config: &FlowConfig) -> Result<Folded, Error> {
    let approved = ApprovedPlan::restore(stored.opening.plan.clone())
        .map_err(|findings| Error::internal(format!("the journal holds an unreadable plan: {findings:?}")))?;
    let opening = &stored.opening;
    let id = opening.workflow_id.clone();
    // Service levels stay what they were when the tickets were made, whatever the settings say now.
    let config = FlowConfig { sla: opening.sla, ..config.clone() };
    let mut flow = Flow::new(id, Arc::new(approved), opening.opened_at, config);
    let mut updated_at = opening.opened_at;
    for entry in &stored.entries {
        let entry = FlowEntry::parse(&entry.kind, &entry.payload).ok_or_else(|| {
            Error::internal(format!("the journal holds an unreadable entry: {}", entry.kind))
        })?;
        updated_at = updated_at.max(entry.at());
        flow.apply(&entry);
    }
    Ok(Folded { flow, updated_at })
}
