//! A ticket on its way out.

use axum::response::{IntoResponse, Response};
use hive_domain::json::{Json, Object};
use hive_domain::tickets::{Ticket, TicketContent, TicketSnapshot, TicketState};
use hive_domain::time::Timestamp;
use hive_proto::ticket::{QosJson, SlaJson, TicketJson};
use http::StatusCode;
use http::header::{ETAG, HeaderValue};
use serde_json::{Map, Number, Value};

fn ticket_json(content: &TicketContent, state: &TicketState, version: u64) -> TicketJson {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    TicketJson {
        ticket_id: content.ticket_id.as_str().to_owned(),
        plan_id: content.plan_id.as_str().to_owned(),
        intent_id: content.intent_id.as_str().to_owned(),
        decision_id: content.decision_id.as_str().to_owned(),
        correlation_id: content.correlation_id.clone(),
        trace_id: content.trace_id.clone(),
        span_id: content.span_id.clone(),
        task_id: content.task_id.as_str().to_owned(),
        task_type: content.task_type.as_str().to_owned(),
        description: content.description.clone(),
        dependencies: content.dependencies.iter().map(|id| id.as_str().to_owned()).collect(),
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
        parameters: map(&content.parameters),
        required_capabilities: content.required_capabilities.clone(),
        security_level: content.security_level.as_str().to_owned(),
        created_at: content.created_at.millis(),
        started_at: millis(state.started_at),
        completed_at: millis(state.completed_at),
        estimated_duration_ms: content.estimated_duration_ms,
        actual_duration_ms: state.actual_duration_ms,
        retry_count: state.retry_count,
        error_message: state.error_message.clone(),
        compensation_ticket_id: state.compensation_ticket_id.as_ref().map(|id| id.as_str().to_owned()),
        metadata: state.metadata.clone(),
        predictions: content.predictions.as_ref().map(value),
        schema_version: content.schema_version,
        assigned_worker: state.assigned_worker.as_ref().map(|id| id.as_str().to_owned()),
        agent_id: state.agent_id.as_ref().map(|id| id.as_str().to_owned()),
        epoch: state.epoch,
        dispatched_at: millis(state.dispatched_at),
        retryable: state.retryable,
        allocation: state.allocation.as_ref().map(value),
        version,
    }
}

/// The ticket as every JSON interface shows it.
pub fn whole(ticket: &Ticket) -> TicketJson {
    ticket_json(ticket.content(), ticket.state(), ticket.version())
}

/// The ticket at one moment.
pub(crate) fn snapshot(ticket: &TicketSnapshot) -> TicketJson {
    ticket_json(&ticket.content, &ticket.state, ticket.version)
}

/// A JSON value of the domain as the wire has it.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Int(number) => Number::from_i128(*number).map_or(Value::Null, Value::Number),
        Json::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Json::Text(text) => Value::String(text.clone()),
        Json::List(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(members) => Value::Object(map(members)),
    }
}

fn map(members: &Object) -> Map<String, Value> {
    members.iter().map(|(key, member)| (key.clone(), value(member))).collect()
}

/// The version of a ticket as an entity tag.
pub(super) fn etag(ticket: &Ticket) -> String {
    format!("\"{}\"", ticket.version())
}

/// An answer with one ticket and its entity tag.
pub(super) fn answer(status: StatusCode, ticket: &Ticket) -> Response {
    let mut response = (status, axum::Json(whole(ticket))).into_response();
    if let Ok(tag) = HeaderValue::from_str(&etag(ticket)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
