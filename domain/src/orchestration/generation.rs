//! C2: the tickets of a plan, with the service level, delivery promises and priority its risk demands.
//!
//! Pure and repeatable: the same plan at the same time gives the same tickets, so a repeated step finds its own work.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::limits::ceiling_ms;
use super::plan::{ApprovedPlan, Task};
use crate::ids::{TicketId, WorkflowId};
use crate::tickets::public::{
    Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, Sla, TicketContent,
};
use crate::time::Timestamp;

/// How service levels are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlaConfig {
    /// Milliseconds a ticket without an estimate may take (`SLA_DEFAULT_TIMEOUT_MS`).
    pub default_timeout_ms: i64,
    /// Milliseconds every ticket may take at least (`SLA_TICKET_MIN_TIMEOUT_MS`).
    pub min_timeout_ms: i64,
    /// The estimate is multiplied by this (`SLA_TICKET_TIMEOUT_BUFFER_MULTIPLIER`).
    pub timeout_multiplier: f64,
}

impl Default for SlaConfig {
    fn default() -> Self {
        SlaConfig { default_timeout_ms: 3_600_000, min_timeout_ms: 60_000, timeout_multiplier: 3.0 }
    }
}

/// A ticket that C2 planned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTicket {
    /// What it asks for.
    pub content: Arc<TicketContent>,
    /// Free text pairs.
    pub metadata: BTreeMap<String, String>,
}

/// The author that generated tickets name.
pub const GENERATED_BY: &str = "orchestrator-dynamic";

/// One ticket a task, each after everything it depends on.
pub fn generate(
    approved: &ApprovedPlan,
    workflow_id: &WorkflowId,
    created_at: Timestamp,
    config: &SlaConfig,
) -> Vec<PlannedTicket> {
    let plan = &approved.plan;
    let ids: Vec<TicketId> =
        plan.tasks.iter().map(|task| TicketId::for_task(&plan.plan_id, &task.task_id)).collect();
    let timeouts: Vec<Timeout> =
        plan.tasks.iter().map(|task| timeout(task.estimated_duration_ms, plan.risk_band, config)).collect();
    let weights: Vec<i64> = timeouts.iter().map(|timeout| timeout.ms).collect();
    // A ticket cannot be late for the time its predecessors were allowed to take.
    let paths = plan.graph.longest_path(&weights);

    let ticket = |index: u32, task: &Task| {
        let at = index as usize;
        let dependencies = plan.graph.dependencies(index).iter().map(|d| ids[*d as usize].clone()).collect();
        let mut metadata = BTreeMap::from([
            ("workflow_id".to_owned(), workflow_id.to_string()),
            ("generated_by".to_owned(), GENERATED_BY.to_owned()),
        ]);
        metadata.extend(
            timeouts[at]
                .wanted_ms
                .map(|wanted| ("sla_timeout_clamped_from_ms".to_owned(), wanted.to_string())),
        );
        let content = TicketContent {
            ticket_id: ids[at].clone(),
            plan_id: plan.plan_id.clone(),
            intent_id: plan.intent_id.clone(),
            decision_id: approved.decision.decision_id.clone(),
            correlation_id: approved.decision.correlation_id.clone().or(plan.correlation_id.clone()),
            trace_id: approved.decision.trace_id.clone(),
            span_id: approved.decision.span_id.clone(),
            task_id: task.task_id.clone(),
            task_type: task.task_type,
            description: task.description.clone(),
            dependencies,
            priority: plan.priority.unwrap_or(Priority::Low).max(priority_floor(plan.risk_band)),
            risk_band: plan.risk_band,
            sla: Sla {
                deadline: created_at.plus_ms(paths[at]),
                timeout_ms: timeouts[at].ms,
                max_retries: max_retries(plan.risk_band),
            },
            qos: qos(plan.risk_band),
            parameters: task.parameters.clone(),
            required_capabilities: task.required_capabilities.clone(),
            security_level: plan.security_level,
            created_at,
            estimated_duration_ms: task.estimated_duration_ms,
            predictions: None,
            schema_version: 1,
        };
        PlannedTicket { content: Arc::new(content), metadata }
    };
    plan.in_order().map(|(index, task)| ticket(index, task)).collect()
}

struct Timeout {
    ms: i64,
    /// What the formula gave, when the ceiling of the band is lower.
    wanted_ms: Option<i64>,
}

/// `max(minimum, ⌊estimate × multiplier⌋)`, never above the policy's ceiling for the band.
fn timeout(estimate_ms: Option<i64>, band: RiskBand, config: &SlaConfig) -> Timeout {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "saturates; estimates are small"
    )]
    let wanted = estimate_ms.map_or(config.default_timeout_ms, |estimate| {
        config.min_timeout_ms.max((estimate as f64 * config.timeout_multiplier) as i64)
    });
    let ms = wanted.min(ceiling_ms(band));
    // Without an estimate the ceiling is part of the rule, not a cut.
    Timeout { ms, wanted_ms: (estimate_ms.is_some() && ms < wanted).then_some(wanted) }
}

const fn max_retries(band: RiskBand) -> i32 {
    match band {
        RiskBand::Critical => 5,
        RiskBand::High => 3,
        RiskBand::Medium => 2,
        RiskBand::Low => 1,
    }
}

const fn priority_floor(band: RiskBand) -> Priority {
    match band {
        RiskBand::Critical => Priority::Critical,
        RiskBand::High => Priority::High,
        RiskBand::Medium => Priority::Normal,
        RiskBand::Low => Priority::Low,
    }
}

const fn qos(band: RiskBand) -> Qos {
    match band {
        RiskBand::Critical | RiskBand::High => Qos {
            delivery_mode: DeliveryMode::ExactlyOnce,
            consistency: Consistency::Strong,
            durability: Durability::Persistent,
        },
        RiskBand::Medium | RiskBand::Low => Qos {
            delivery_mode: DeliveryMode::AtLeastOnce,
            consistency: Consistency::Eventual,
            durability: Durability::Persistent,
        },
    }
}
