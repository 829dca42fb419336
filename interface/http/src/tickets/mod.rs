//! The routes of the ticket context.

mod by_plans;
mod compensation;
pub(crate) mod convert;
mod create;
mod dependencies;
mod get;
mod history;
mod list;
mod status;
mod token;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing;
use hive_application::tickets::TicketApi;

use crate::router::Slashes;

/// `/api/v1/tickets` and everything below, without the health and metrics every role has.
pub fn routes(api: TicketApi) -> Router {
    const ALL: &str = "/api/v1/tickets";
    let below = |path: &str| format!("{ALL}/{path}");
    let token = routing::get(token::generate).post(token::generate);
    Router::new()
        .both(ALL, routing::get(list::list).post(create::create))
        .both(&below("by-plans"), routing::post(by_plans::list))
        .both(&below("compensation"), routing::post(compensation::compensate))
        .both(&below("{ticket_id}"), routing::get(get::get).patch(status::amend))
        .both(&below("{ticket_id}/status"), routing::patch(status::change))
        .both(&below("{ticket_id}/retry"), routing::post(status::retry))
        .both(&below("{ticket_id}/token"), token)
        .both(&below("{ticket_id}/history"), routing::get(history::list))
        .both(&below("{ticket_id}/dependencies"), routing::get(dependencies::list))
        .with_state(api)
}
