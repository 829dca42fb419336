//! `GET /api/v1/tickets/{ticket_id}/dependencies`.

use axum::Json;
use axum::extract::State;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{TicketApi, Tickets};
use hive_domain::ids::TicketId;
use hive_proto::ticket::TicketJson;

use super::convert;
use crate::caller::ByService;
use crate::input::{Pairs, PathText};
use crate::problem::Problem;

/// Lookups on their way at a time.
const AT_A_TIME: usize = 8;
/// Tickets in one answer at most.
const MAX_LIMIT: u64 = 1_000;

/// The tickets it waits for, in its order, as far as they exist: `limit` of them from `offset` on.
pub(super) async fn list(
    State(api): State<TicketApi>,
    _: ByService,
    path: PathText,
    pairs: Pairs,
) -> Result<Json<Vec<TicketJson>>, Problem> {
    let limit = pairs.number("limit", MAX_LIMIT, 1, MAX_LIMIT)?;
    let offset = pairs.number("offset", 0, 0, i64::MAX.cast_unsigned())?;
    let ticket = api.tickets.get(&path.id("ticket_id", TicketId::parse)?).await?;
    let bound = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let wanted: Vec<TicketId> =
        ticket.content().dependencies.iter().skip(bound(offset)).take(bound(limit)).cloned().collect();
    let found: Vec<Option<TicketJson>> = stream::iter(wanted)
        .map(|id| find(api.tickets.clone(), id))
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    Ok(Json(found.into_iter().flatten().collect()))
}

async fn find(tickets: Tickets, id: TicketId) -> Result<Option<TicketJson>, Error> {
    match tickets.get(&id).await {
        Ok(ticket) => Ok(Some(convert::whole(&ticket))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
