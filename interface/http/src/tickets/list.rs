//! `GET /api/v1/tickets`.

use axum::Json;
use axum::extract::State;
use hive_application::tickets::{DEFAULT_PAGE, ListTicketsCommand, MAX_PAGE, TicketApi};
use hive_proto::ticket::TicketJson;
use serde::Serialize;

use super::convert;
use crate::caller::ByService;
use crate::input::Pairs;
use crate::problem::Problem;

/// One page, newest first.
#[derive(Serialize)]
pub(super) struct Page {
    tickets: Vec<TicketJson>,
    /// All that match.
    total: u64,
    offset: u64,
    limit: u64,
    /// Leads to the next page, as `page_token`; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

pub(super) async fn list(
    State(api): State<TicketApi>,
    _: ByService,
    pairs: Pairs,
) -> Result<Json<Page>, Problem> {
    let text = |key: &str| pairs.text(key).unwrap_or_default().to_owned();
    let command = ListTicketsCommand {
        plan_id: text("plan_id"),
        intent_id: text("intent_id"),
        status: text("status"),
        priority: text("priority"),
        assigned_worker: text("assigned_worker"),
        offset: pairs.number("offset", 0, 0, i64::MAX.cast_unsigned())?.cast_signed(),
        limit: pairs.number("limit", DEFAULT_PAGE, 1, MAX_PAGE)?.cast_signed(),
        page_token: text("page_token"),
    };
    let listing = api.list.execute(&command).await?;
    Ok(Json(Page {
        tickets: listing.tickets.iter().map(convert::whole).collect(),
        total: listing.total,
        offset: listing.offset,
        limit: listing.limit,
        next_page_token: listing.next_page_token,
    }))
}
