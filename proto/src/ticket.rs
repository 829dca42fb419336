//! The ticket as every JSON interface shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A ticket: the 30 keys of the ticket schema in its order, then ours. Every key is always there, `null` when it has no
/// value; times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketJson {
    /// The ticket.
    pub ticket_id: String,
    /// The plan it belongs to.
    pub plan_id: String,
    /// The intent behind the plan.
    pub intent_id: String,
    /// The decision that approved the plan.
    pub decision_id: String,
    /// Correlates everything that follows from one request.
    pub correlation_id: Option<String>,
    /// W3C trace id of the request.
    pub trace_id: Option<String>,
    /// W3C span id of the request.
    pub span_id: Option<String>,
    /// The task it was made from.
    pub task_id: String,
    /// The kind of work, a word of the schema.
    pub task_type: String,
    /// What to do, for people.
    pub description: String,
    /// Tickets that must complete first.
    pub dependencies: Vec<String>,
    /// Where it stands: a word of the schema, CANCELLED or PREEMPTED.
    pub status: String,
    /// LOW, NORMAL, HIGH or CRITICAL.
    pub priority: String,
    /// The risk band of its plan, lower case.
    pub risk_band: String,
    /// The service level agreed.
    pub sla: SlaJson,
    /// The delivery promises.
    pub qos: QosJson,
    /// What the worker needs.
    pub parameters: Map<String, Value>,
    /// What the worker must be able to do.
    pub required_capabilities: Vec<String>,
    /// Who may see it.
    pub security_level: String,
    /// When it was created.
    pub created_at: i64,
    /// When an agent took it.
    pub started_at: Option<i64>,
    /// When it ended.
    pub completed_at: Option<i64>,
    /// Milliseconds the work should take.
    pub estimated_duration_ms: Option<i64>,
    /// Milliseconds the work took.
    pub actual_duration_ms: Option<i64>,
    /// Times it was tried again.
    pub retry_count: i32,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// The ticket that undoes it.
    pub compensation_ticket_id: Option<String>,
    /// Free text pairs.
    pub metadata: BTreeMap<String, String>,
    /// What models foretold.
    pub predictions: Option<Value>,
    /// Version of the ticket schema.
    pub schema_version: i32,
    /// Ours: the agent it is allocated to.
    pub assigned_worker: Option<String>,
    /// Ours: the agent that took it.
    pub agent_id: Option<String>,
    /// Ours: the incarnation of that agent.
    pub epoch: Option<u64>,
    /// Ours: when it was published to its agent.
    pub dispatched_at: Option<i64>,
    /// Ours: whether the last failure may be tried again.
    pub retryable: Option<bool>,
    /// Ours: why that agent, scores with their terms.
    pub allocation: Option<Value>,
    /// Ours: the number of its last saved change.
    pub version: u64,
}

/// The service level of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaJson {
    /// When the ticket must be done, milliseconds since 1970.
    pub deadline: i64,
    /// Milliseconds the work may take, counted from `started_at`.
    pub timeout_ms: i64,
    /// Times it may be tried again.
    pub max_retries: i32,
}

/// The delivery promises of a ticket, words of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QosJson {
    /// How often the effect may happen.
    pub delivery_mode: String,
    /// How soon every reader must see it.
    pub consistency: String,
    /// Whether it must survive a restart.
    pub durability: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA_KEYS: &str = "ticket_id plan_id intent_id decision_id correlation_id trace_id span_id task_id \
        task_type description dependencies status priority risk_band sla qos parameters required_capabilities \
        security_level created_at started_at completed_at estimated_duration_ms actual_duration_ms retry_count \
        error_message compensation_ticket_id metadata predictions schema_version";
    const OUR_KEYS: &str = "assigned_worker agent_id epoch dispatched_at retryable allocation version";

    fn bare() -> TicketJson {
        let text = |word: &str| word.to_owned();
        TicketJson {
            ticket_id: text("t"),
            plan_id: text("p"),
            intent_id: text("i"),
            decision_id: text("d"),
            correlation_id: None,
            trace_id: None,
            span_id: None,
            task_id: text("a"),
            task_type: text("EXECUTE"),
            description: text(""),
            dependencies: Vec::new(),
            status: text("PENDING"),
            priority: text("NORMAL"),
            risk_band: text("low"),
            sla: SlaJson { deadline: 2, timeout_ms: 1, max_retries: 0 },
            qos: QosJson {
                delivery_mode: text("AT_LEAST_ONCE"),
                consistency: text("EVENTUAL"),
                durability: text("PERSISTENT"),
            },
            parameters: Map::new(),
            required_capabilities: Vec::new(),
            security_level: text("INTERNAL"),
            created_at: 1,
            started_at: None,
            completed_at: None,
            estimated_duration_ms: None,
            actual_duration_ms: None,
            retry_count: 0,
            error_message: None,
            compensation_ticket_id: None,
            metadata: BTreeMap::new(),
            predictions: None,
            schema_version: 1,
            assigned_worker: None,
            agent_id: None,
            epoch: None,
            dispatched_at: None,
            retryable: None,
            allocation: None,
            version: 1,
        }
    }

    #[test]
    fn every_key_is_there_in_order_nulls_included() {
        let json = serde_json::to_string(&bare()).unwrap();
        let mut rest = json.as_str();
        let (schema, ours) = (SCHEMA_KEYS.split_whitespace(), OUR_KEYS.split_whitespace());
        assert_eq!(schema.clone().count(), 30);
        for key in schema.clone().chain(ours.clone()) {
            let quoted = format!("\"{key}\":");
            let at =
                rest.find(&quoted).unwrap_or_else(|| panic!("{key} is missing or out of order in {json}"));
            rest = &rest[at + quoted.len()..];
        }
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value.as_object().unwrap().len(), schema.count() + ours.count());
        assert_eq!(value["predictions"], Value::Null);
        assert_eq!(value["created_at"], Value::from(1));
    }

    #[test]
    fn a_ticket_reads_back() {
        let mut ticket = bare();
        ticket.parameters.insert("n".to_owned(), Value::from(1.5));
        ticket.allocation = Some(serde_json::json!({"agent_score": 0.5}));
        let json = serde_json::to_string(&ticket).unwrap();
        assert_eq!(serde_json::from_str::<TicketJson>(&json).unwrap(), ticket);
    }
}
