//! Tickets as messages. Parameters, predictions and the reasons of an allocation travel as JSON text: a protobuf number
//! would lose digits, and the difference between 1 and 1.0, on which content hashes depend.

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::messages;
use hive_domain::ids::{AgentId, DecisionId, IdError, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::{Json, Object};
use hive_domain::tickets::public::{
    Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, Sla, TaskType,
    TicketAction, TicketChange, TicketContent, TicketEvent, TicketSnapshot, TicketState, TicketStatus,
};
use hive_domain::time::Timestamp;
use hive_proto::grpc::neural_hive::execution as wire;

/// Levels of arrays and objects inside each other: what a plan may have at most.
const MAX_NESTING: usize = 256;

/// Bytes of one JSON text. A message is smaller than that as a rule.
const MAX_JSON_BYTES: usize = 16 * 1024 * 1024;

/// A ticket as the wire shows it.
pub fn ticket(content: &TicketContent, state: &TicketState, version: u64) -> wire::ExecutionTicket {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    let agent = |id: &Option<AgentId>| id.as_ref().map(AgentId::to_string);
    wire::ExecutionTicket {
        ticket_id: content.ticket_id.to_string(),
        plan_id: content.plan_id.to_string(),
        intent_id: content.intent_id.to_string(),
        task_id: content.task_id.to_string(),
        task_type: content.task_type.as_str().to_owned(),
        description: Some(content.description.clone()),
        status: state.status.as_str().to_owned(),
        priority: content.priority.as_str().to_owned(),
        created_at: Some(content.created_at.millis()),
        decision_id: content.decision_id.to_string(),
        correlation_id: content.correlation_id.clone(),
        trace_id: content.trace_id.clone(),
        span_id: content.span_id.clone(),
        dependencies: content.dependencies.iter().map(TicketId::to_string).collect(),
        risk_band: content.risk_band.as_str().to_owned(),
        sla: Some(wire::Sla {
            deadline: Some(content.sla.deadline.millis()),
            timeout_ms: Some(content.sla.timeout_ms),
            max_retries: Some(content.sla.max_retries),
        }),
        qos: Some(wire::Qos {
            delivery_mode: content.qos.delivery_mode.as_str().to_owned(),
            consistency: content.qos.consistency.as_str().to_owned(),
            durability: content.qos.durability.as_str().to_owned(),
        }),
        parameters: object_text(&content.parameters),
        required_capabilities: content.required_capabilities.clone(),
        security_level: content.security_level.as_str().to_owned(),
        started_at: millis(state.started_at),
        completed_at: millis(state.completed_at),
        estimated_duration_ms: content.estimated_duration_ms,
        actual_duration_ms: state.actual_duration_ms,
        retry_count: state.retry_count,
        error_message: state.error_message.clone(),
        compensation_ticket_id: state.compensation_ticket_id.as_ref().map(TicketId::to_string),
        metadata: state.metadata.clone(),
        predictions: content.predictions.as_ref().map(Json::to_string),
        schema_version: Some(content.schema_version),
        assigned_worker: agent(&state.assigned_worker),
        agent_id: agent(&state.agent_id),
        epoch: state.epoch,
        dispatched_at: millis(state.dispatched_at),
        not_before: millis(state.not_before),
        retryable: state.retryable,
        allocation: state.allocation.as_ref().map(Json::to_string),
        version,
    }
}

/// A ticket that a service sent, as it was there. `InvalidArgument` names what does not fit the ticket schema.
pub fn snapshot(mut wire: wire::ExecutionTicket) -> Result<TicketSnapshot, Error> {
    let state = state(&mut wire)?;
    let sla = wire.sla.unwrap_or_default();
    let qos = wire.qos.unwrap_or_default();
    let dependencies = wire.dependencies.iter().map(|text| id("dependencies", text, TicketId::parse));
    let content = TicketContent {
        ticket_id: id("ticket_id", &wire.ticket_id, TicketId::parse)?,
        plan_id: id("plan_id", &wire.plan_id, PlanId::parse)?,
        intent_id: id("intent_id", &wire.intent_id, IntentId::parse)?,
        decision_id: id("decision_id", &wire.decision_id, DecisionId::parse)?,
        correlation_id: wire.correlation_id,
        trace_id: wire.trace_id,
        span_id: wire.span_id,
        task_id: id("task_id", &wire.task_id, TaskId::parse)?,
        task_type: word("task_type", &wire.task_type, TaskType::parse)?,
        description: wire.description.unwrap_or_default(),
        dependencies: dependencies.collect::<Result<_, _>>()?,
        priority: word("priority", &wire.priority, Priority::parse)?,
        risk_band: word("risk_band", &wire.risk_band, RiskBand::parse)?,
        sla: Sla {
            deadline: Timestamp::from_millis(sla.deadline.unwrap_or_default()),
            timeout_ms: sla.timeout_ms.unwrap_or_default(),
            max_retries: sla.max_retries.unwrap_or_default(),
        },
        qos: Qos {
            delivery_mode: word("qos.delivery_mode", &qos.delivery_mode, DeliveryMode::parse)?,
            consistency: word("qos.consistency", &qos.consistency, Consistency::parse)?,
            durability: word("qos.durability", &qos.durability, Durability::parse)?,
        },
        parameters: object("", "parameters", &wire.parameters, MAX_NESTING)?.unwrap_or_default(),
        required_capabilities: wire.required_capabilities,
        security_level: word("security_level", &wire.security_level, SecurityLevel::parse)?,
        created_at: Timestamp::from_millis(wire.created_at.unwrap_or_default()),
        estimated_duration_ms: wire.estimated_duration_ms,
        predictions: optional_json("", "predictions", wire.predictions.as_deref(), MAX_NESTING)?,
        schema_version: wire.schema_version.unwrap_or(1),
    };
    Ok(TicketSnapshot { content: Arc::new(content), state, version: wire.version })
}

fn state(wire: &mut wire::ExecutionTicket) -> Result<TicketState, Error> {
    let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
    let undo = wire.compensation_ticket_id.as_deref();
    Ok(TicketState {
        status: word("status", &wire.status, TicketStatus::parse)?,
        metadata: std::mem::take(&mut wire.metadata),
        assigned_worker: optional_id("assigned_worker", wire.assigned_worker.as_deref(), AgentId::parse)?,
        allocation: optional_json("", "allocation", wire.allocation.as_deref(), MAX_NESTING)?,
        agent_id: optional_id("agent_id", wire.agent_id.as_deref(), AgentId::parse)?,
        epoch: wire.epoch,
        dispatched_at: at(wire.dispatched_at),
        not_before: at(wire.not_before),
        started_at: at(wire.started_at),
        completed_at: at(wire.completed_at),
        actual_duration_ms: wire.actual_duration_ms,
        retry_count: wire.retry_count,
        retryable: wire.retryable,
        error_message: wire.error_message.take(),
        compensation_ticket_id: optional_id("compensation_ticket_id", undo, TicketId::parse)?,
    })
}

fn object_text(members: &Object) -> String {
    if members.is_empty() { String::new() } else { Json::Object(members.clone()).to_string() }
}

/// Reads the text of a JSON object; empty is none. `prefix` stands before the field in errors.
pub fn object(prefix: &str, field: &str, text: &str, max_nesting: usize) -> Result<Option<Object>, Error> {
    let text = Some(text).filter(|text| !text.is_empty());
    let problem = match optional_json(prefix, field, text, max_nesting)? {
        None => return Ok(None),
        Some(Json::Object(members)) => return Ok(Some(members)),
        Some(other) => format!("must be a JSON object, is {}", other.type_name()),
    };
    Err(Error::invalid(format!("{prefix}{field}"), problem))
}

/// Reads the text of a JSON value, if there is one. `prefix` stands before the field in errors.
pub fn optional_json(
    prefix: &str,
    field: &str,
    text: Option<&str>,
    max_nesting: usize,
) -> Result<Option<Json>, Error> {
    let read = |text: &str| messages::decode(text.as_bytes(), MAX_JSON_BYTES, max_nesting);
    let unreadable =
        |problem| Error::invalid(format!("{prefix}{field}"), format!("cannot be read: {problem}"));
    text.map(read).transpose().map_err(unreadable)
}

fn optional_id<T>(
    field: &'static str,
    text: Option<&str>,
    parse: fn(&str) -> Result<T, IdError>,
) -> Result<Option<T>, Error> {
    text.map(|text| id(field, text, parse)).transpose()
}

fn id<T>(field: &'static str, text: &str, parse: fn(&str) -> Result<T, IdError>) -> Result<T, Error> {
    parse(text).map_err(|problem| Error::invalid(field, problem))
}

fn word<T>(field: &'static str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
    parse(text).ok_or_else(|| Error::invalid(field, "is not a word of the ticket schema"))
}

/// One saved change as the wire shows it.
pub fn event(change: &TicketChange) -> wire::TicketEvent {
    let (event, after) = (&change.event, &change.ticket);
    wire::TicketEvent {
        offset: change.offset,
        action: event.action.as_str().to_owned(),
        old_status: event.old_status.map(TicketStatus::as_str).map(str::to_owned),
        new_status: event.new_status.as_str().to_owned(),
        at: event.at.millis(),
        changed_by: event.changed_by.clone(),
        ticket: Some(ticket(&after.content, &after.state, after.version)),
    }
}

/// One saved change that a service sent, as it was there.
pub fn change(wire: wire::TicketEvent) -> Result<TicketChange, Error> {
    let old_status = wire.old_status.as_deref();
    Ok(TicketChange {
        offset: wire.offset,
        event: TicketEvent {
            action: word("action", &wire.action, TicketAction::parse)?,
            old_status: old_status.map(|text| word("old_status", text, TicketStatus::parse)).transpose()?,
            new_status: word("new_status", &wire.new_status, TicketStatus::parse)?,
            changed_by: wire.changed_by,
            at: Timestamp::from_millis(wire.at),
        },
        ticket: snapshot(wire.ticket.unwrap_or_default())?,
    })
}
