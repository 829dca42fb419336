//! The data of a ticket: what it asks for, which never changes, and how far it is.

use std::collections::BTreeMap;

use super::kinds::{Priority, RiskBand, SecurityLevel, TaskType};
use super::sla::{Qos, Sla};
use super::status::TicketStatus;
use crate::ids::{AgentId, DecisionId, IntentId, PlanId, TaskId, TicketId};
use crate::json::{Json, Object, object};
use crate::time::Timestamp;

/// What a ticket asks for. Fixed at creation.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketContent {
    /// The ticket.
    pub ticket_id: TicketId,
    /// The plan it belongs to.
    pub plan_id: PlanId,
    /// The intent behind the plan.
    pub intent_id: IntentId,
    /// The decision that approved the plan.
    pub decision_id: DecisionId,
    /// Correlates everything that follows from one request.
    pub correlation_id: Option<String>,
    /// W3C trace id of the request.
    pub trace_id: Option<String>,
    /// W3C span id of the request.
    pub span_id: Option<String>,
    /// The task it was made from.
    pub task_id: TaskId,
    /// The kind of work.
    pub task_type: TaskType,
    /// What to do, for people.
    pub description: String,
    /// Tickets that must complete first.
    pub dependencies: Vec<TicketId>,
    /// How urgent it is.
    pub priority: Priority,
    /// The risk band of its plan.
    pub risk_band: RiskBand,
    /// The service level agreed.
    pub sla: Sla,
    /// The delivery promises.
    pub qos: Qos,
    /// What the worker needs.
    pub parameters: Object,
    /// What the worker must be able to do.
    pub required_capabilities: Vec<String>,
    /// Who may see it.
    pub security_level: SecurityLevel,
    /// When it was created.
    pub created_at: Timestamp,
    /// Milliseconds the work should take.
    pub estimated_duration_ms: Option<i64>,
    /// What models foretold.
    pub predictions: Option<Json>,
    /// Version of the ticket schema.
    pub schema_version: i32,
}

/// How far a ticket is. Changes with every event.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketState {
    /// Where it stands.
    pub status: TicketStatus,
    /// Free text pairs.
    pub metadata: BTreeMap<String, String>,
    /// The agent it is allocated to.
    pub assigned_worker: Option<AgentId>,
    /// Why that agent: scores with their terms.
    pub allocation: Option<Json>,
    /// The agent that took it.
    pub agent_id: Option<AgentId>,
    /// The incarnation of that agent.
    pub epoch: Option<u64>,
    /// When it was published to its agent.
    pub dispatched_at: Option<Timestamp>,
    /// When its last dependency completed.
    pub not_before: Option<Timestamp>,
    /// When an agent took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Milliseconds the work took.
    pub actual_duration_ms: Option<i64>,
    /// Times it was tried again.
    pub retry_count: i32,
    /// Whether the last failure may be tried again.
    pub retryable: Option<bool>,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// The ticket that undoes it.
    pub compensation_ticket_id: Option<TicketId>,
}

impl TicketState {
    /// The state of a ticket nobody has touched.
    pub fn pending(metadata: BTreeMap<String, String>) -> Self {
        TicketState {
            status: TicketStatus::Pending,
            metadata,
            assigned_worker: None,
            allocation: None,
            agent_id: None,
            epoch: None,
            dispatched_at: None,
            not_before: None,
            started_at: None,
            completed_at: None,
            actual_duration_ms: None,
            retry_count: 0,
            retryable: None,
            error_message: None,
            compensation_ticket_id: None,
        }
    }
}

/// The 30 keys of the ticket model as one JSON object, nulls included: what the content hash covers.
pub(super) fn to_json(content: &TicketContent, state: &TicketState) -> Json {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis).into();
    let metadata = state.metadata.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    object([
        ("ticket_id", content.ticket_id.as_str().into()),
        ("plan_id", content.plan_id.as_str().into()),
        ("intent_id", content.intent_id.as_str().into()),
        ("decision_id", content.decision_id.as_str().into()),
        ("correlation_id", content.correlation_id.clone().into()),
        ("trace_id", content.trace_id.clone().into()),
        ("span_id", content.span_id.clone().into()),
        ("task_id", content.task_id.as_str().into()),
        ("task_type", content.task_type.as_str().into()),
        ("description", content.description.as_str().into()),
        ("dependencies", content.dependencies.iter().map(TicketId::as_str).collect::<Vec<_>>().into()),
        ("status", state.status.as_str().into()),
        ("priority", content.priority.as_str().into()),
        ("risk_band", content.risk_band.as_str().into()),
        ("sla", sla_json(&content.sla)),
        ("qos", qos_json(&content.qos)),
        ("parameters", Json::Object(content.parameters.clone())),
        ("required_capabilities", content.required_capabilities.clone().into()),
        ("security_level", content.security_level.as_str().into()),
        ("created_at", content.created_at.millis().into()),
        ("started_at", millis(state.started_at)),
        ("completed_at", millis(state.completed_at)),
        ("estimated_duration_ms", content.estimated_duration_ms.into()),
        ("actual_duration_ms", state.actual_duration_ms.into()),
        ("retry_count", i64::from(state.retry_count).into()),
        ("error_message", state.error_message.clone().into()),
        ("compensation_ticket_id", state.compensation_ticket_id.as_ref().map(TicketId::as_str).into()),
        ("metadata", Json::Object(metadata)),
        ("predictions", content.predictions.clone().unwrap_or(Json::Null)),
        ("schema_version", i64::from(content.schema_version).into()),
    ])
}

fn sla_json(sla: &Sla) -> Json {
    object([
        ("deadline", sla.deadline.millis().into()),
        ("timeout_ms", sla.timeout_ms.into()),
        ("max_retries", i64::from(sla.max_retries).into()),
    ])
}

fn qos_json(qos: &Qos) -> Json {
    object([
        ("delivery_mode", qos.delivery_mode.as_str().into()),
        ("consistency", qos.consistency.as_str().into()),
        ("durability", qos.durability.as_str().into()),
    ])
}
