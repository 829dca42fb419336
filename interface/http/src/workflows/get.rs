//! `GET /api/v1/workflows/{workflow_id}`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use hive_application::orchestration::{FlowView, Orchestration};
use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::Phase;
use hive_domain::tickets::TicketStatus;
use hive_domain::time::Timestamp;
use serde::Serialize;

use crate::caller::ByService;
use crate::input::PathText;
use crate::problem::Problem;
use crate::tickets::convert;

/// How a flow stands. Times are ISO 8601, UTC. The first keys are those existing callers read.
#[derive(Serialize)]
pub(super) struct Workflow {
    workflow_id: String,
    status: &'static str,
    start_time: String,
    close_time: Option<String>,
    /// Seconds from start to close, or to what happened last.
    execution_time: f64,
    workflow_type: &'static str,
    /// The queue of an engine beside this service; none drives the flow here.
    task_queue: Option<String>,
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_summary: Option<serde_json::Value>,
    plan_id: String,
    intent_id: Option<String>,
    /// SUCCESS, PARTIAL or FAILED, once every ticket ended.
    plan_status: Option<&'static str>,
    updated_at: String,
    deadline: Option<String>,
    progress_percent: f64,
    /// How many tickets stand where, and how many there are.
    tickets: BTreeMap<&'static str, u32>,
    /// Tickets that wait for an agent that does not exist, and why.
    parked: BTreeMap<String, String>,
    /// Why it stopped without an end.
    failure: Option<String>,
}

pub(super) async fn get(
    State(orchestration): State<Orchestration>,
    _: ByService,
    path: PathText,
) -> Result<Json<Workflow>, Problem> {
    let workflow_id = path.id("workflow_id", WorkflowId::parse)?;
    Ok(Json(workflow(&orchestration.flows.get(&workflow_id).await?)))
}

fn workflow(view: &FlowView) -> Workflow {
    let closed = (view.phase == Phase::Ended).then_some(view.updated_at);
    let iso = |at: Timestamp| at.to_string();
    let counted = TicketStatus::ALL.map(|status| (status.as_str(), view.tickets.in_status(status)));
    let mut tickets: BTreeMap<_, _> = counted.into_iter().filter(|(_, count)| *count > 0).collect();
    tickets.insert("total", view.tickets.total());
    #[expect(clippy::cast_precision_loss, reason = "a duration in milliseconds, far below 2^52")]
    let execution_time = view.updated_at.since(view.opened_at) as f64 / 1_000.0;
    Workflow {
        workflow_id: view.workflow_id.as_str().to_owned(),
        status: view.status(),
        start_time: iso(view.opened_at),
        close_time: closed.map(iso),
        execution_time,
        workflow_type: "OrchestrationWorkflow",
        task_queue: None,
        cached: false,
        result_summary: view.outcome.as_ref().map(convert::value),
        plan_id: view.plan_id.as_str().to_owned(),
        intent_id: view.intent_id.as_ref().map(|id| id.as_str().to_owned()),
        plan_status: view.plan_status.map(|status| status.as_str()),
        updated_at: iso(view.updated_at),
        deadline: view.deadline.map(iso),
        progress_percent: view.tickets.progress_percent(),
        tickets,
        parked: view.parked.iter().map(|(id, why)| (id.as_str().to_owned(), why.clone())).collect(),
        failure: view.failure.clone(),
    }
}
