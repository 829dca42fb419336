//! The routes of the orchestration context.

mod by_plan;
mod get;
mod query;
mod start;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing;
use hive_application::orchestration::Orchestration;

use crate::router::Slashes;

/// `/api/v1/workflows…` and `/api/v1/tickets/by-plan/{plan_id}`, without the health and metrics every role has.
pub fn routes(orchestration: Orchestration) -> Router {
    Router::new()
        .both("/api/v1/workflows/start", routing::post(start::start))
        .both("/api/v1/workflows/{workflow_id}", routing::get(get::get))
        .both("/api/v1/workflows/{workflow_id}/query", routing::post(query::query))
        .both("/api/v1/tickets/by-plan/{plan_id}", routing::get(by_plan::list))
        .with_state(orchestration)
}
