//! Tickets as rows: the cells to write and the models that were read.

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::tickets::HistoryEntry;
use hive_domain::ids::{AgentId, DecisionId, IdError, IntentId, PlanId, TaskId, TicketId};
use hive_domain::json::Json;
use hive_domain::tickets::{
    Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, Sla, TaskType, Ticket,
    TicketAction, TicketContent, TicketEvent, TicketState, TicketStatus,
};
use hive_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity::{history, ticket};
use crate::failure::unreadable;
use crate::json;
use crate::statement::Cell;

/// The columns of [`content_cells`], in its order.
#[rustfmt::skip]
pub(super) const CONTENT: [&str; 23] = [
    "ticket_id", "plan_id", "intent_id", "decision_id", "correlation_id", "trace_id", "span_id", "task_id",
    "task_type", "description", "dependencies", "priority", "risk_band", "sla", "qos", "parameters",
    "required_capabilities", "security_level", "created_at", "estimated_duration_ms", "predictions",
    "schema_version", "hash",
];

/// The columns of [`state_cells`], in its order.
#[rustfmt::skip]
pub(super) const STATE: [&str; 17] = [
    "status", "metadata", "assigned_worker", "allocation", "agent_id", "epoch", "dispatched_at", "not_before",
    "started_at", "completed_at", "actual_duration_ms", "retry_count", "retryable", "error_message",
    "compensation_ticket_id", "version", "updated_at",
];

#[derive(Serialize, Deserialize)]
struct SlaText {
    deadline: i64,
    timeout_ms: i64,
    max_retries: i32,
}

#[derive(Serialize, Deserialize)]
struct QosText<'a> {
    delivery_mode: &'a str,
    consistency: &'a str,
    durability: &'a str,
}

/// What a ticket asks for, as cells.
pub(super) fn content_cells(content: &TicketContent, hash: String, row: &mut Vec<Cell>) -> Result<(), Error> {
    let dependencies: Vec<_> = content.dependencies.iter().map(TicketId::as_str).collect();
    let sla = SlaText {
        deadline: content.sla.deadline.millis(),
        timeout_ms: content.sla.timeout_ms,
        max_retries: content.sla.max_retries,
    };
    let qos = QosText {
        delivery_mode: content.qos.delivery_mode.as_str(),
        consistency: content.qos.consistency.as_str(),
        durability: content.qos.durability.as_str(),
    };
    let cells: [Cell; CONTENT.len()] = [
        content.ticket_id.as_str().into(),
        content.plan_id.as_str().into(),
        content.intent_id.as_str().into(),
        content.decision_id.as_str().into(),
        content.correlation_id.as_deref().into(),
        content.trace_id.as_deref().into(),
        content.span_id.as_deref().into(),
        content.task_id.as_str().into(),
        content.task_type.as_str().into(),
        content.description.as_str().into(),
        json::write(&dependencies)?.into(),
        content.priority.as_str().into(),
        content.risk_band.as_str().into(),
        json::write(&sla)?.into(),
        json::write(&qos)?.into(),
        Json::Object(content.parameters.clone()).to_string().into(),
        json::write(&content.required_capabilities)?.into(),
        content.security_level.as_str().into(),
        content.created_at.millis().into(),
        content.estimated_duration_ms.into(),
        content.predictions.as_ref().map(Json::to_string).into(),
        content.schema_version.into(),
        hash.into(),
    ];
    row.extend(cells);
    Ok(())
}

/// The texts of a state that are stored more than once.
pub(super) struct StateTexts {
    pub(super) metadata: Arc<str>,
    pub(super) allocation: Option<Arc<str>>,
}

impl StateTexts {
    pub(super) fn of(state: &TicketState) -> Result<Self, Error> {
        Ok(StateTexts {
            metadata: json::write(&state.metadata)?.into(),
            allocation: state.allocation.as_ref().map(|allocation| allocation.to_string().into()),
        })
    }
}

/// How far a ticket is, as cells.
pub(super) fn state_cells(
    state: &TicketState,
    texts: &StateTexts,
    version: u64,
    updated_at: Timestamp,
    row: &mut Vec<Cell>,
) {
    let millis = |at: Option<Timestamp>| Cell::from(at.map(Timestamp::millis));
    let cells: [Cell; STATE.len()] = [
        state.status.as_str().into(),
        (&texts.metadata).into(),
        state.assigned_worker.as_ref().map(AgentId::as_str).into(),
        texts.allocation.as_ref().into(),
        state.agent_id.as_ref().map(AgentId::as_str).into(),
        state.epoch.into(),
        millis(state.dispatched_at),
        millis(state.not_before),
        millis(state.started_at),
        millis(state.completed_at),
        state.actual_duration_ms.into(),
        state.retry_count.into(),
        state.retryable.into(),
        state.error_message.as_deref().into(),
        state.compensation_ticket_id.as_ref().map(TicketId::as_str).into(),
        version.into(),
        updated_at.millis().into(),
    ];
    row.extend(cells);
}

/// Reads a word or an id of a column.
pub(super) fn word<T>(
    column: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    parse(text).ok_or_else(|| unreadable(column, text))
}

fn id<T>(
    column: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, Error> {
    word(column, text, |text| parse(text).ok())
}

pub(super) fn optional_id<T>(
    column: &'static str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<Option<T>, Error> {
    text.map(|text| id(column, text, parse)).transpose()
}

/// What a stored ticket asks for.
pub(super) fn content(row: &ticket::Model) -> Result<TicketContent, Error> {
    let dependencies: Vec<String> = json::read_as("dependencies", &row.dependencies)?;
    let Json::Object(parameters) = json::read("parameters", &row.parameters)? else {
        return Err(unreadable("parameters", "no object"));
    };
    Ok(TicketContent {
        ticket_id: id("ticket_id", &row.ticket_id, TicketId::parse)?,
        plan_id: id("plan_id", &row.plan_id, PlanId::parse)?,
        intent_id: id("intent_id", &row.intent_id, IntentId::parse)?,
        decision_id: id("decision_id", &row.decision_id, DecisionId::parse)?,
        correlation_id: row.correlation_id.clone(),
        trace_id: row.trace_id.clone(),
        span_id: row.span_id.clone(),
        task_id: id("task_id", &row.task_id, TaskId::parse)?,
        task_type: word("task_type", &row.task_type, TaskType::parse)?,
        description: row.description.clone(),
        dependencies: dependencies
            .iter()
            .map(|text| id("dependencies", text, TicketId::parse))
            .collect::<Result<_, _>>()?,
        priority: word("priority", &row.priority, Priority::parse)?,
        risk_band: word("risk_band", &row.risk_band, RiskBand::parse)?,
        sla: sla(&row.sla)?,
        qos: qos(&row.qos)?,
        parameters,
        required_capabilities: json::read_as("required_capabilities", &row.required_capabilities)?,
        security_level: word("security_level", &row.security_level, SecurityLevel::parse)?,
        created_at: Timestamp::from_millis(row.created_at),
        estimated_duration_ms: row.estimated_duration_ms,
        predictions: row.predictions.as_deref().map(|text| json::read("predictions", text)).transpose()?,
        schema_version: row.schema_version,
    })
}

fn sla(text: &str) -> Result<Sla, Error> {
    let sla: SlaText = json::read_as("sla", text)?;
    Ok(Sla {
        deadline: Timestamp::from_millis(sla.deadline),
        timeout_ms: sla.timeout_ms,
        max_retries: sla.max_retries,
    })
}

fn qos(text: &str) -> Result<Qos, Error> {
    let qos: QosText<'_> = json::read_as("qos", text)?;
    Ok(Qos {
        delivery_mode: word("qos", qos.delivery_mode, DeliveryMode::parse)?,
        consistency: word("qos", qos.consistency, Consistency::parse)?,
        durability: word("qos", qos.durability, Durability::parse)?,
    })
}

/// A stored ticket.
pub(super) fn ticket(row: ticket::Model) -> Result<Ticket, Error> {
    let content = Arc::new(content(&row)?);
    let state = TicketState {
        status: word("status", &row.status, TicketStatus::parse)?,
        metadata: json::read_as("metadata", &row.metadata)?,
        assigned_worker: optional_id("assigned_worker", row.assigned_worker.as_deref(), AgentId::parse)?,
        allocation: row.allocation.as_deref().map(|text| json::read("allocation", text)).transpose()?,
        agent_id: optional_id("agent_id", row.agent_id.as_deref(), AgentId::parse)?,
        epoch: row.epoch.map(i64::cast_unsigned),
        dispatched_at: row.dispatched_at.map(Timestamp::from_millis),
        not_before: row.not_before.map(Timestamp::from_millis),
        started_at: row.started_at.map(Timestamp::from_millis),
        completed_at: row.completed_at.map(Timestamp::from_millis),
        actual_duration_ms: row.actual_duration_ms,
        retry_count: row.retry_count,
        retryable: row.retryable,
        compensation_ticket_id: optional_id(
            "compensation_ticket_id",
            row.compensation_ticket_id.as_deref(),
            TicketId::parse,
        )?,
        error_message: row.error_message,
    };
    Ok(Ticket::restore(content, state, row.version.cast_unsigned()))
}

/// A stored history entry of the ticket. The version makes the event's id: one version, one event, for good.
pub(super) fn history_entry(ticket: &TicketId, row: history::Model) -> Result<HistoryEntry, Error> {
    let old_status = |text: &str| word("old_status", text, TicketStatus::parse);
    Ok(HistoryEntry {
        event: TicketEvent {
            action: word("action", &row.action, TicketAction::parse)?,
            old_status: row.old_status.as_deref().map(old_status).transpose()?,
            new_status: word("new_status", &row.new_status, TicketStatus::parse)?,
            changed_by: row.changed_by,
            at: Timestamp::from_millis(row.at),
        },
        event_id: format!("{ticket}.{}", row.version),
    })
}
