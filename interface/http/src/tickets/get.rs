//! `GET /api/v1/tickets/{ticket_id}`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hive_application::tickets::TicketApi;
use hive_domain::ids::TicketId;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use super::convert;
use crate::caller::Caller;
use crate::input::PathText;
use crate::problem::Problem;

/// The ticket; 304 when the caller has this version already.
pub(super) async fn get(
    State(api): State<TicketApi>,
    Caller(context): Caller,
    path: PathText,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ticket_id = path.id("ticket_id", TicketId::parse)?;
    context.may_read(&ticket_id)?;
    let ticket = api.tickets.get(&ticket_id).await?;
    let tag = convert::etag(&ticket);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    Ok(convert::answer(StatusCode::OK, &ticket))
}

/// Whether `If-None-Match` names the tag. A weak tag counts: the comparison of RFC 9110 for this header is the weak one.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
