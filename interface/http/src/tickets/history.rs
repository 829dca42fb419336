//! `GET /api/v1/tickets/{ticket_id}/history`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use hive_application::tickets::{HistoryEntry, TicketApi};
use hive_domain::ids::TicketId;
use serde::Serialize;

use crate::caller::Caller;
use crate::input::PathText;
use crate::problem::Problem;

/// What happened to a ticket, oldest first.
#[derive(Serialize)]
pub(super) struct History {
    ticket_id: String,
    total: usize,
    history: Vec<Entry>,
}

/// One change; times are milliseconds since 1970, UTC.
#[derive(Serialize)]
struct Entry {
    event_id: String,
    action: &'static str,
    old_status: Option<&'static str>,
    new_status: &'static str,
    changed_by: String,
    timestamp: i64,
    /// Nothing is kept beside the change yet; callers expect the key.
    metadata: BTreeMap<String, String>,
}

pub(super) async fn list(
    State(api): State<TicketApi>,
    Caller(context): Caller,
    path: PathText,
) -> Result<Json<History>, Problem> {
    let ticket_id = path.id("ticket_id", TicketId::parse)?;
    context.may_read(&ticket_id)?;
    let history = api.tickets.history(&ticket_id).await?;
    let ticket_id = ticket_id.as_str().to_owned();
    Ok(Json(History { ticket_id, total: history.len(), history: history.into_iter().map(entry).collect() }))
}

fn entry(entry: HistoryEntry) -> Entry {
    let HistoryEntry { event_id, event } = entry;
    Entry {
        event_id,
        action: event.action.as_str(),
        old_status: event.old_status.map(|status| status.as_str()),
        new_status: event.new_status.as_str(),
        changed_by: event.changed_by,
        timestamp: event.at.millis(),
        metadata: BTreeMap::new(),
    }
}
