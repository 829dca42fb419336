//! The payload of an outbox record: what happened, and the ticket's state right after. What the ticket asks for never
//! changes and stays in its row.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hive_application::error::Error;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::{TicketAction, TicketEvent, TicketState, TicketStatus};
use hive_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::mapping::{StateTexts, optional_id, word};
use crate::json;

const COLUMN: &str = "payload";

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    version: u64,
    #[serde(borrow)]
    event: EventRecord<'a>,
    #[serde(borrow)]
    state: StateRecord<'a>,
}

#[derive(Serialize, Deserialize)]
struct EventRecord<'a> {
    action: &'a str,
    old_status: Option<&'a str>,
    new_status: &'a str,
    #[serde(borrow)]
    changed_by: Cow<'a, str>,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct StateRecord<'a> {
    status: &'a str,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    assigned_worker: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    allocation: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dispatched_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_duration_ms: Option<i64>,
    retry_count: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    error_message: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    compensation_ticket_id: Option<Cow<'a, str>>,
}

/// The text of an event and the state after it.
pub(super) fn write(
    event: &TicketEvent,
    state: &TicketState,
    texts: &StateTexts,
    version: u64,
) -> Result<String, Error> {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    json::write(&Record {
        version,
        event: EventRecord {
            action: event.action.as_str(),
            old_status: event.old_status.map(TicketStatus::as_str),
            new_status: event.new_status.as_str(),
            changed_by: event.changed_by.as_str().into(),
            at: event.at.millis(),
        },
        state: StateRecord {
            status: state.status.as_str(),
            metadata: json::read_as(COLUMN, &texts.metadata)?,
            assigned_worker: state.assigned_worker.as_ref().map(|id| id.as_str().into()),
            allocation: texts.allocation.as_deref().map(|text| json::read_as(COLUMN, text)).transpose()?,
            agent_id: state.agent_id.as_ref().map(|id| id.as_str().into()),
            epoch: state.epoch,
            dispatched_at: millis(state.dispatched_at),
            not_before: millis(state.not_before),
            started_at: millis(state.started_at),
            completed_at: millis(state.completed_at),
            actual_duration_ms: state.actual_duration_ms,
            retry_count: state.retry_count,
            retryable: state.retryable,
            error_message: state.error_message.as_deref().map(Into::into),
            compensation_ticket_id: state.compensation_ticket_id.as_ref().map(|id| id.as_str().into()),
        },
    })
}

/// The event, the state after it and the version of that state.
pub(super) fn read(text: &str) -> Result<(TicketEvent, TicketState, u64), Error> {
    let Record { version, event, state } = json::read_as(COLUMN, text)?;
    let status = |text: &str| word(COLUMN, text, TicketStatus::parse);
    let event = TicketEvent {
        action: word(COLUMN, event.action, TicketAction::parse)?,
        old_status: event.old_status.map(status).transpose()?,
        new_status: status(event.new_status)?,
        changed_by: event.changed_by.into_owned(),
        at: Timestamp::from_millis(event.at),
    };
    let metadata: BTreeMap<String, String> = json::read_as(COLUMN, state.metadata.get())?;
    let state = TicketState {
        status: status(state.status)?,
        metadata,
        assigned_worker: optional_id(COLUMN, state.assigned_worker.as_deref(), AgentId::parse)?,
        allocation: state.allocation.map(|raw| json::read(COLUMN, raw.get())).transpose()?,
        agent_id: optional_id(COLUMN, state.agent_id.as_deref(), AgentId::parse)?,
        epoch: state.epoch,
        dispatched_at: state.dispatched_at.map(Timestamp::from_millis),
        not_before: state.not_before.map(Timestamp::from_millis),
        started_at: state.started_at.map(Timestamp::from_millis),
        completed_at: state.completed_at.map(Timestamp::from_millis),
        actual_duration_ms: state.actual_duration_ms,
        retry_count: state.retry_count,
        retryable: state.retryable,
        error_message: state.error_message.map(Cow::into_owned),
        compensation_ticket_id: optional_id(
            COLUMN,
            state.compensation_ticket_id.as_deref(),
            TicketId::parse,
        )?,
    };
    Ok((event, state, version))
}
