//! Tickets and agents to store.

use std::collections::BTreeMap;

use hive_domain::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::{Json, object};
use hive_domain::registry::public::AgentType;
use hive_domain::registry::{Announcement, AnnouncementDraft};
use hive_domain::tickets::{
    Consistency, DeliveryMode, Dispatch, Durability, Priority, Qos, Report, RiskBand, SecurityLevel, Sla,
    TaskType, Ticket, TicketContent,
};
use hive_domain::time::Timestamp;

/// Who changes the samples.
pub const BY: &str = "contract";

/// A moment, in milliseconds after an arbitrary one.
pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + ms)
}

/// A plan.
pub fn plan(name: &str) -> PlanId {
    PlanId::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// An agent.
pub fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the ticket of a task of a plan asks for: plain values, few of them set.
pub fn content(plan_id: &PlanId, task: &str) -> TicketContent {
    let parse = |text: &str| TaskId::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let task_id = parse(task);
    TicketContent {
        ticket_id: TicketId::for_task(plan_id, &task_id),
        plan_id: plan_id.clone(),
        intent_id: IntentId::parse("intent-1").unwrap_or_else(|error| panic!("{error}")),
        decision_id: DecisionId::for_direct_plan(plan_id),
        correlation_id: None,
        trace_id: None,
        span_id: None,
        task_id,
        task_type: TaskType::Build,
        description: format!("Task {task}"),
        dependencies: Vec::new(),
        priority: Priority::Normal,
        risk_band: RiskBand::Low,
        sla: Sla { deadline: at(60_000), timeout_ms: 30_000, max_retries: 2 },
        qos: Qos {
            delivery_mode: DeliveryMode::AtLeastOnce,
            consistency: Consistency::Eventual,
            durability: Durability::Persistent,
        },
        parameters: BTreeMap::new(),
        required_capabilities: vec!["compute".to_owned()],
        security_level: SecurityLevel::Internal,
        created_at: at(0),
        estimated_duration_ms: None,
        predictions: None,
        schema_version: 1,
    }
}

/// A content with every field set, and with values that are easily lost on the way.
pub fn full_content(plan_id: &PlanId) -> TicketContent {
    let awkward = object([
        ("float", Json::from(0.1 + 0.2)),
        ("small", Json::from(2.225_073_858_507_201_4e-308)),
        ("whole", Json::from(1.0)),
        ("int", Json::from(i64::MAX)),
        ("text", Json::from("quote \" backslash \\ line \n é 🐝 \u{1}")),
        ("list", Json::List(vec![Json::Null, Json::from(true), object([])])),
    ]);
    TicketContent {
        correlation_id: Some("correlation-1".to_owned()),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
        span_id: Some("00f067aa0ba902b7".to_owned()),
        description: "Übergröße '; DROP TABLE execution_tickets; --".to_owned(),
        dependencies: vec![content(plan_id, "before").ticket_id],
        parameters: BTreeMap::from([("awkward".to_owned(), awkward.clone())]),
        estimated_duration_ms: Some(i64::MAX),
        predictions: Some(awkward),
        ..content(plan_id, "full")
    }
}

/// The new ticket of a task of a plan.
pub fn ticket(plan_id: &PlanId, task: &str) -> Ticket {
    of(content(plan_id, task))
}

/// A new ticket.
pub fn of(content: TicketContent) -> Ticket {
    let metadata = BTreeMap::from([("workflow_id".to_owned(), format!("orch-{}", content.plan_id))]);
    Ticket::create(content, metadata, BY).unwrap_or_else(|error| panic!("{error}"))
}

/// The order that hands a ticket to `agent`.
pub fn dispatch_to(agent: &AgentId) -> Dispatch {
    let allocation = object([("score", Json::from(0.73)), ("terms", object([("load", Json::from(0.1))]))]);
    Dispatch { agent: agent.clone(), epoch: 1, allocation, not_before: Some(at(5)) }
}

/// A report of the first incarnation of `agent`.
pub fn report_of(agent: &AgentId) -> Report {
    Report::by(agent.clone(), 1)
}

/// What a worker announces.
pub fn announcement(namespace: &str, agent_type: AgentType) -> Announcement {
    let draft = AnnouncementDraft {
        agent_type,
        capabilities: vec!["write".to_owned(), "read".to_owned()],
        metadata: BTreeMap::from([("zone".to_owned(), "é'\"".to_owned())]),
        namespace: namespace.to_owned(),
        cluster: "c1".to_owned(),
        version: "1.2.3".to_owned(),
        telemetry: None,
    };
    Announcement::check(draft).unwrap_or_else(|error| panic!("{error}"))
}
