//! What callers queue for the writer.

use hive_application::error::Error;
use hive_application::orchestration::{FlowOpening, JournalWrite, OutboxMessage};

use crate::engine::rows;
use crate::statement::Cell;

/// One write.
#[derive(Debug)]
pub(super) enum Operation {
    Open(FlowOpening),
    Append(JournalWrite),
    Publish(Vec<OutboxMessage>),
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Answer {
    /// Whether the flow is new.
    Opened(bool),
    Appended,
    /// There is no such flow, or it has ended: nothing was written.
    NotOpen,
}

pub(super) const FLOW: [&str; 8] = [
    "workflow_id",
    "plan_id",
    "plan_hash",
    "plan",
    "sla_default_timeout_ms",
    "sla_min_timeout_ms",
    "sla_timeout_multiplier",
    "opened_at",
];
pub(super) const ENTRY: [&str; 4] = ["workflow_id", "kind", "payload", "at"];
pub(super) const MESSAGE: [&str; 5] = ["message_id", "topic", "key", "payload", "at"];

pub(super) type Entry = [Cell; ENTRY.len()];

pub(super) fn flow_row(flow: &FlowOpening) -> [Cell; FLOW.len()] {
    [
        flow.workflow_id.as_str().into(),
        flow.plan_id.as_str().into(),
        flow.plan_hash.as_str().into(),
        flow.plan.to_string().into(),
        flow.sla.default_timeout_ms.into(),
        flow.sla.min_timeout_ms.into(),
        flow.sla.timeout_multiplier.into(),
        flow.opened_at.millis().into(),
    ]
}

pub(super) fn entry_rows(write: &JournalWrite) -> impl Iterator<Item = Entry> {
    let workflow_id = Cell::from(write.workflow_id.as_str());
    write.entries.iter().map(move |entry| {
        let payload = entry.payload.to_string().into();
        [workflow_id.clone(), entry.kind.as_str().into(), payload, write.at.millis().into()]
    })
}

pub(super) fn message_row(message: &OutboxMessage) -> [Cell; MESSAGE.len()] {
    [
        message.message_id.as_str().into(),
        message.topic.as_str().into(),
        message.key.as_str().into(),
        message.payload.to_string().into(),
        message.at.millis().into(),
    ]
}

impl Operation {
    /// The rows it writes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Operation::Open(_) => 1,
            Operation::Append(write) => 1 + write.entries.len() + write.messages.len(),
            Operation::Publish(messages) => messages.len(),
        }
    }

    /// Refuses what PostgreSQL cannot store, by the name of the field.
    pub(super) fn check(&self) -> Result<(), Error> {
        let messages = match self {
            Operation::Open(flow) => return rows::refuse_nul(FLOW, &flow_row(flow)),
            Operation::Append(write) => {
                entry_rows(write).try_for_each(|row| rows::refuse_nul(ENTRY, &row))?;
                &write.messages
            }
            Operation::Publish(messages) => messages,
        };
        messages.iter().try_for_each(|message| rows::refuse_nul(MESSAGE, &message_row(message)))
    }
}
