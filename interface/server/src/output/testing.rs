//! Tickets and results for tests.

use std::collections::BTreeMap;

use hive_domain::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::object;
use hive_domain::tickets::{
    Consistency, DeliveryMode, Dispatch, Durability, Priority, Qos, Report, RiskBand, SecurityLevel, Sla,
    TaskType, Ticket, TicketContent, TicketStatus,
};
use hive_domain::time::Timestamp;
use hive_proto::result::{ConsolidationJson, MetricsJson, SlaStatusJson};

/// What the ticket of `task` asks for: created at 1000, timeout 1000 ms, deadline 1700.
pub(crate) fn content(task: &str) -> TicketContent {
    let plan_id = PlanId::parse("plan-1").unwrap();
    let task_id = TaskId::parse(task).unwrap();
    TicketContent {
        ticket_id: TicketId::for_task(&plan_id, &task_id),
        plan_id,
        intent_id: IntentId::parse("intent-1").unwrap(),
        decision_id: DecisionId::parse("decision-1").unwrap(),
        correlation_id: Some("correlation-1".to_owned()),
        trace_id: None,
        span_id: None,
        task_id,
        task_type: TaskType::Execute,
        description: "does it".to_owned(),
        dependencies: Vec::new(),
        priority: Priority::Normal,
        risk_band: RiskBand::Low,
        sla: Sla { deadline: Timestamp::from_millis(1_700), timeout_ms: 1_000, max_retries: 1 },
        qos: Qos {
            delivery_mode: DeliveryMode::AtLeastOnce,
            consistency: Consistency::Eventual,
            durability: Durability::Persistent,
        },
        parameters: BTreeMap::from([("n".to_owned(), 1.into())]),
        required_capabilities: vec!["read".to_owned()],
        security_level: SecurityLevel::Internal,
        created_at: Timestamp::from_millis(1_000),
        estimated_duration_ms: None,
        predictions: None,
        schema_version: 1,
    }
}

/// A ticket that nobody has touched.
pub(crate) fn pending(task: &str) -> Ticket {
    let metadata = BTreeMap::from([("workflow_id".to_owned(), "orch-plan-1".to_owned())]);
    Ticket::create(content(task), metadata, "test").unwrap()
}

/// A ticket that agent-1 took at 1000 and completed after `ms`.
pub(crate) fn finished(task: &str, ms: i64) -> Ticket {
    let mut ticket = pending(task);
    let (agent, at) = (AgentId::parse("agent-1").unwrap(), Timestamp::from_millis(1_000));
    let allocation = object([("agent_score", 0.5.into())]);
    let dispatch = Dispatch { agent: agent.clone(), epoch: 1, allocation, not_before: None };
    ticket.dispatch(dispatch, at, "test").unwrap();
    ticket.report(TicketStatus::Running, &Report::by(agent.clone(), 1), at, "agent-1").unwrap();
    ticket.report(TicketStatus::Completed, &Report::by(agent, 1), at.plus_ms(ms), "agent-1").unwrap();
    ticket
}

/// A ticket that never ran.
pub(crate) fn cancelled(task: &str, reason: &str) -> Ticket {
    let mut ticket = pending(task);
    ticket.cancel(reason, Timestamp::from_millis(1_500), "test").unwrap();
    ticket
}

/// A result of `total` tickets of which `completed` completed.
pub(crate) fn result(status: &str, total: u64, completed: u64) -> ConsolidationJson {
    ConsolidationJson {
        workflow_id: "orch-plan-1".to_owned(),
        plan_id: "plan-1".to_owned(),
        intent_id: "intent-1".to_owned(),
        status: status.to_owned(),
        metrics: MetricsJson {
            total_tickets: total,
            successful: completed,
            failed: total - completed,
            compensated: 0,
            total_duration_ms: 0,
            total_retries: 0,
            sla_violations: 0,
        },
        consistent: true,
        errors: Vec::new(),
        tickets_summary: Vec::new(),
        sla_status: SlaStatusJson {
            deadline_approaching: false,
            budget_critical: false,
            violations_count: 0,
        },
        sla_remaining_seconds: 0.0,
        budget_status: "UNKNOWN".to_owned(),
        consolidated_at: "1970-01-01T00:00:09.000Z".to_owned(),
        compensation_results: None,
        compensation_triggered: None,
    }
}
