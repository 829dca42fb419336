//! From the domain to the wire.

use std::sync::Arc;

use hive_domain::ids::{AgentId, PlanId, TicketId, WorkflowId};
use hive_domain::json::{Json, Object};
use hive_domain::orchestration::finding::{Finding, Findings};
use hive_domain::tickets::{Ticket, TicketContent, TicketState};
use hive_domain::time::Timestamp;
use hive_proto::result::{ConsolidationJson, FindingJson, NotRunJson, RefusalJson};
use hive_proto::ticket::{QosJson, SlaJson, TicketJson};
use serde_json::{Map, Number, Value};

/// A ticket.
pub(crate) fn ticket(ticket: &Ticket) -> TicketJson {
    let content: &Arc<TicketContent> = ticket.content();
    let state: &TicketState = ticket.state();
    TicketJson {
        ticket_id: content.ticket_id.to_string(),
        plan_id: content.plan_id.to_string(),
        intent_id: content.intent_id.to_string(),
        decision_id: content.decision_id.to_string(),
        correlation_id: content.correlation_id.clone(),
        trace_id: content.trace_id.clone(),
        span_id: content.span_id.clone(),
        task_id: content.task_id.to_string(),
        task_type: content.task_type.as_str().to_owned(),
        description: content.description.clone(),
        dependencies: content.dependencies.iter().map(TicketId::to_string).collect(),
        status: state.status.as_str().to_owned(),
        priority: content.priority.as_str().to_owned(),
        risk_band: content.risk_band.as_str().to_owned(),
        sla: SlaJson {
            deadline: content.sla.deadline.millis(),
            timeout_ms: content.sla.timeout_ms,
            max_retries: content.sla.max_retries,
        },
        qos: QosJson {
            delivery_mode: content.qos.delivery_mode.as_str().to_owned(),
            consistency: content.qos.consistency.as_str().to_owned(),
            durability: content.qos.durability.as_str().to_owned(),
        },
        parameters: members(&content.parameters),
        required_capabilities: content.required_capabilities.clone(),
        security_level: content.security_level.as_str().to_owned(),
        created_at: content.created_at.millis(),
        started_at: state.started_at.map(Timestamp::millis),
        completed_at: state.completed_at.map(Timestamp::millis),
        estimated_duration_ms: content.estimated_duration_ms,
        actual_duration_ms: state.actual_duration_ms,
        retry_count: state.retry_count,
        error_message: state.error_message.clone(),
        compensation_ticket_id: state.compensation_ticket_id.as_ref().map(TicketId::to_string),
        metadata: state.metadata.clone(),
        predictions: content.predictions.as_ref().map(value),
        schema_version: content.schema_version,
        assigned_worker: state.assigned_worker.as_ref().map(AgentId::to_string),
        agent_id: state.agent_id.as_ref().map(AgentId::to_string),
        epoch: state.epoch,
        dispatched_at: state.dispatched_at.map(Timestamp::millis),
        retryable: state.retryable,
        allocation: state.allocation.as_ref().map(value),
        version: ticket.version(),
    }
}

/// A result as the journal keeps it.
pub(crate) fn consolidation(outcome: &Json) -> Result<ConsolidationJson, serde_json::Error> {
    serde_json::from_value(value(outcome))
}

/// A plan that does not run, for the reason in `status`.
pub(crate) fn not_run(plan_id: &PlanId, status: NotRun) -> NotRunJson {
    NotRunJson {
        plan_id: plan_id.to_string(),
        workflow_id: WorkflowId::for_plan(plan_id).to_string(),
        status: status.as_str().to_owned(),
        tickets: Vec::new(),
    }
}

/// Why a valid plan does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRun {
    Rejected,
    AwaitingApproval,
}

impl NotRun {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            NotRun::Rejected => "REJECTED",
            NotRun::AwaitingApproval => "AWAITING_APPROVAL",
        }
    }
}

/// Everything found in a message that was refused.
pub(crate) fn refusal(findings: &Findings) -> RefusalJson {
    let list = |findings: &[Finding]| findings.iter().map(finding).collect();
    RefusalJson { errors: list(&findings.errors), warnings: list(&findings.warnings) }
}

fn finding(finding: &Finding) -> FindingJson {
    FindingJson {
        code: finding.code.as_str().to_owned(),
        path: finding.path.clone(),
        message: finding.message.clone(),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        // Beyond 64 bits no parser yields a whole number, and no reader of JSON expects one.
        Json::Int(number) => Number::from_i128(*number).map_or(Value::Null, Value::Number),
        Json::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Json::Text(text) => Value::String(text.clone()),
        Json::List(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(object) => Value::Object(members(object)),
    }
}

fn members(object: &Object) -> Map<String, Value> {
    object.iter().map(|(key, member)| (key.clone(), value(member))).collect()
}

#[cfg(test)]
mod tests {
    use hive_domain::json::object;
    use hive_domain::orchestration::finding::Code;

    use super::*;
    use crate::output::testing::{content, finished};

    #[test]
    fn a_ticket_says_the_same_as_its_own_json() {
        let ticket = finished("fetch", 25);
        let mut wire = serde_json::to_value(super::ticket(&ticket)).unwrap();
        let ours =
            ["assigned_worker", "agent_id", "epoch", "dispatched_at", "retryable", "allocation", "version"];
        let kept: Vec<Value> =
            ours.iter().map(|key| wire.as_object_mut().unwrap().remove(*key).unwrap()).collect();
        assert_eq!(wire, value(&ticket.to_json()));
        assert_eq!(kept[0], Value::from("agent-1"));
        assert_eq!(kept[2], Value::from(1));
        assert_eq!(kept[5]["agent_score"], Value::from(0.5));
    }

    #[test]
    fn values_keep_their_kind() {
        let json = object([
            ("a", Json::Int(u64::MAX.into())),
            ("b", 1.0.into()),
            ("c", Json::List(vec![Json::Null, true.into(), "x".into()])),
        ]);
        assert_eq!(value(&json).to_string(), r#"{"a":18446744073709551615,"b":1.0,"c":[null,true,"x"]}"#);
        assert_eq!(content("x").parameters.len(), members(&content("x").parameters).len());
    }

    #[test]
    fn refusals_keep_order_and_kind() {
        let mut findings = Findings::default();
        findings.error(Code::Cycle, "tasks", "round and round");
        findings.warning(Code::DefaultApplied, "version", "is 1");
        let refusal = refusal(&findings);
        assert_eq!((refusal.errors[0].code.as_str(), refusal.errors[0].path.as_str()), ("CYCLE", "tasks"));
        assert_eq!(refusal.warnings[0].message, "is 1");
    }
}
