//! `GET` and `POST /api/v1/tickets/{ticket_id}/token`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{TOKEN_TYPE, TicketApi};
use hive_domain::ids::TicketId;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::caller::Caller;
use crate::input::PathText;
use crate::problem::Problem;

/// A new token; `token` says the same as `access_token`, for callers that read the one or the other.
#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// Seconds since 1970.
    expires_at: i64,
    ticket_id: String,
    scopes: Vec<String>,
    token: String,
}

/// Makes a token for the work on a ticket; 403 when that work is over.
pub(super) async fn generate(
    State(api): State<TicketApi>,
    path: PathText,
    Caller(context): Caller,
) -> Result<Response, Problem> {
    let ticket_id = path.id("ticket_id", TicketId::parse)?;
    let issued = api.token.execute(&context, &ticket_id).await.map_err(problem)?;
    let token = Token {
        access_token: issued.token.clone(),
        token_type: TOKEN_TYPE,
        expires_in: issued.expires_in,
        expires_at: issued.expires_at,
        ticket_id: issued.ticket_id.as_str().to_owned(),
        scopes: issued.scopes,
        token: issued.token,
    };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(token)).into_response())
}

fn problem(error: Error) -> Problem {
    let refused = error.kind() == ErrorKind::FailedPrecondition;
    let problem = Problem::from(error);
    if refused { problem.with_status(StatusCode::FORBIDDEN) } else { problem }
}
