//! `POST /api/v1/workflows/{workflow_id}/query`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hive_application::orchestration::{Orchestration, PlanTicketsQuery};
use hive_domain::ids::WorkflowId;
use hive_proto::ticket::TicketJson;
use http::StatusCode;
use serde::Serialize;

use crate::caller::ByService;
use crate::input::{PathText, TicketBody};
use crate::problem::Problem;
use crate::tickets::convert;

/// Tickets of one answer at most: as many as a plan may have.
const MAX_TICKETS: usize = 10_000;

/// What a flow answers to a query.
#[derive(Serialize)]
struct Answer<R> {
    workflow_id: String,
    query_name: String,
    result: R,
}

/// The result of `get_status`.
#[derive(Serialize)]
struct Status {
    status: &'static str,
    tickets_generated: u32,
    workflow_result: Option<serde_json::Value>,
    /// Warnings are told by the service that watches service levels; none are kept with a flow.
    sla_warnings: [(); 0],
}

/// The answer to `get_tickets` before there are any.
#[derive(Serialize)]
struct Processing {
    workflow_id: String,
    query_name: String,
    processing: bool,
    tickets: [(); 0],
    message: &'static str,
}

/// Asks a flow for its status or its tickets, by the names existing callers use. Arguments are accepted and not used.
pub(super) async fn query(
    State(orchestration): State<Orchestration>,
    _: ByService,
    path: PathText,
    TicketBody(body): TicketBody,
) -> Result<Response, Problem> {
    let workflow_id = path.id("workflow_id", WorkflowId::parse)?;
    let query_name = body.required_text("query_name")?.to_owned();
    let view = orchestration.flows.get(&workflow_id).await?;
    let workflow_id = workflow_id.to_string();
    match query_name.as_str() {
        "get_status" => {
            let result = Status {
                status: view.status(),
                tickets_generated: view.tickets.total(),
                workflow_result: view.outcome.as_ref().map(convert::value),
                sla_warnings: [],
            };
            Ok(Json(Answer { workflow_id, query_name, result }).into_response())
        }
        "get_tickets" => {
            let query = PlanTicketsQuery {
                plan_id: view.plan_id.clone(),
                status: None,
                offset: 0,
                limit: MAX_TICKETS,
            };
            let page = orchestration.tickets.execute(&query).await?;
            if page.tickets.is_empty() {
                let message = "the tickets are not generated yet";
                let processing =
                    Processing { workflow_id, query_name, processing: true, tickets: [], message };
                return Ok((StatusCode::ACCEPTED, Json(processing)).into_response());
            }
            let result: Vec<TicketJson> = page.tickets.iter().map(convert::snapshot).collect();
            Ok(Json(Answer { workflow_id, query_name, result }).into_response())
        }
        _ => Err(Problem::invalid("query_name", "must be get_status or get_tickets")),
    }
}
