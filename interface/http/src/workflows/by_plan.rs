//! `GET /api/v1/tickets/by-plan/{plan_id}`.

use axum::Json;
use axum::extract::State;
use hive_application::orchestration::{Orchestration, PlanTicketsQuery};
use hive_domain::ids::PlanId;
use hive_domain::tickets::TicketStatus;
use hive_proto::ticket::TicketJson;
use serde::Serialize;

use crate::caller::ByService;
use crate::input::{Pairs, PathText};
use crate::problem::Problem;
use crate::tickets::convert;

/// Tickets on a page when the caller does not say.
const DEFAULT_LIMIT: u64 = 100;
/// Tickets on a page at most.
const MAX_LIMIT: u64 = 500;
/// A status existing callers ask for, in which no ticket ever is.
const NEVER: &str = "REJECTED";

/// One page of a plan's tickets.
#[derive(Serialize)]
pub(super) struct Page {
    tickets: Vec<TicketJson>,
    total: usize,
    limit: u64,
    offset: u64,
    has_more: bool,
    cached: bool,
}

pub(super) async fn list(
    State(orchestration): State<Orchestration>,
    _: ByService,
    path: PathText,
    pairs: Pairs,
) -> Result<Json<Page>, Problem> {
    let plan_id = path.id("plan_id", PlanId::parse)?;
    let limit = pairs.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?;
    let offset = pairs.number("offset", 0, 0, i64::MAX.cast_unsigned())?;
    let empty = Page { tickets: Vec::new(), total: 0, limit, offset, has_more: false, cached: false };
    if pairs.text("status").is_some_and(|word| word.eq_ignore_ascii_case(NEVER)) {
        return Ok(Json(empty));
    }
    let bound = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let status = pairs.word("status", TicketStatus::parse)?;
    let query = PlanTicketsQuery { plan_id, status, offset: bound(offset), limit: bound(limit) };
    let page = orchestration.tickets.execute(&query).await?;
    let has_more = query.offset.saturating_add(page.tickets.len()) < page.total;
    let show = |ticket: &_| convert::snapshot(ticket);
    Ok(Json(Page { tickets: page.tickets.iter().map(show).collect(), total: page.total, has_more, ..empty }))
}
