//! C5 and C6: consolidates what the tickets say, and closes the flow together with everything it has to tell.

use hive_domain::json::Json;
use hive_domain::orchestration::consolidation::consolidate;
use hive_domain::orchestration::flow::{Flow, FlowEntry};
use hive_domain::orchestration::telemetry::messages;
use hive_domain::time::Timestamp;

use super::journal_driver::journal_entry;
use super::ports::{Journal, JournalEntry, JournalWrite, OutboxMessage, TicketGateway};
use crate::error::Error;

/// Consolidates and closes, in one append: either the result, the incident, the broken service levels and the telemetry
/// frame are all saved, or the flow is still open.
pub(super) async fn execute(
    flow: &mut Flow,
    mut entries: Vec<JournalEntry>,
    tickets: &dyn TicketGateway,
    journal: &dyn Journal,
    now: Timestamp,
) -> Result<Json, Error> {
    let snapshots = tickets.list(&flow.approved().plan.plan_id).await?;
    let result = consolidate(flow, &snapshots, now);
    let outcome = result.to_json();
    let messages = messages(flow, &result)
        .into_iter()
        .map(|message| OutboxMessage {
            message_id: message.message_id,
            topic: message.topic.to_owned(),
            key: message.key,
            payload: message.payload,
            at: now,
        })
        .collect();
    let closed = FlowEntry::Closed { at: now };
    entries.push(journal_entry(&closed));
    let write = JournalWrite {
        workflow_id: flow.workflow_id().clone(),
        entries,
        messages,
        outcome: Some(outcome.clone()),
        at: now,
    };
    journal.append(write).await?;
    flow.apply(&closed);
    Ok(outcome)
}
