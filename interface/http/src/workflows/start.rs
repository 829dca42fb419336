//! `POST /api/v1/workflows/start`.

use axum::Json;
use axum::extract::State;
use hive_application::orchestration::{Orchestration, Submission};
use hive_domain::ids::WorkflowId;
use hive_domain::json::{Json as Value, Object};
use hive_domain::orchestration::finding::Findings;
use hive_proto::result::FindingJson;
use serde::Serialize;

use crate::caller::Caller;
use crate::fields::Fields;
use crate::input::PlanBody;
use crate::problem::{Problem, findings_json};
use crate::tickets::convert;

/// What became of the plan.
#[derive(Serialize)]
pub(super) struct Started {
    workflow_id: String,
    /// `started`; `completed` for a plan that ran before; REJECTED or AWAITING_APPROVAL for one that does not run.
    status: &'static str,
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_summary: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<FindingJson>,
}

/// Has the plan in the body run. `sla_deadline_seconds` is accepted and not used: a plan's own deadlines count.
pub(super) async fn start(
    State(orchestration): State<Orchestration>,
    Caller(context): Caller,
    PlanBody(body): PlanBody,
) -> Result<Json<Started>, Problem> {
    let message = message(body)?.to_string();
    let submission = orchestration.submit.execute(&context, message.as_bytes()).await?;
    let (workflow_id, status, result, findings) = match submission {
        Submission::Open { workflow_id, findings, .. } => (workflow_id, "started", None, findings),
        Submission::Ended { workflow_id, outcome, findings } => {
            (workflow_id, "completed", Some(convert::value(&outcome)), findings)
        }
        Submission::Rejected(subject) => return Ok(not_run(&subject.plan_id, "REJECTED")),
        Submission::AwaitingApproval(subject) => return Ok(not_run(&subject.plan_id, "AWAITING_APPROVAL")),
        Submission::Invalid(findings) => return Err(Problem::refused(findings)),
    };
    Ok(Json(Started {
        correlation_id: correlation_id(&orchestration, &workflow_id).await?,
        workflow_id: workflow_id.as_str().to_owned(),
        status,
        result_summary: result,
        warnings: warnings(&findings),
    }))
}

/// The plan with what the request says about it around it, as one message. What the plan says itself counts more.
fn message(mut body: Fields) -> Result<Value, Problem> {
    if let Some(plan) = body.get("cognitive_plan")
        && plan.as_object().is_none()
    {
        let problem = format_args!("must be an object, is {}", plan.type_name()).to_string();
        return Err(Problem::invalid("cognitive_plan", problem));
    }
    let mut message = Object::new();
    if let Some(correlation_id) = body.text("correlation_id")? {
        message.insert("correlation_id".to_owned(), correlation_id.into());
    }
    if let Some(priority) = body.integer("priority")? {
        if !(1..=10).contains(&priority) {
            return Err(Problem::invalid("priority", "must be a whole number from 1 to 10"));
        }
        message.insert("original_priority".to_owned(), priority.into());
    }
    if body.integer("sla_deadline_seconds")?.is_some_and(|seconds| seconds <= 0) {
        return Err(Problem::invalid("sla_deadline_seconds", "must be positive"));
    }
    match body.take("cognitive_plan") {
        Some(plan @ Value::Object(_)) => message.insert("cognitive_plan".to_owned(), plan),
        _ => return Err(Problem::invalid("cognitive_plan", "is required")),
    };
    Ok(Value::Object(message))
}

/// What correlates the flow: of a plan submitted twice, what came with it first.
async fn correlation_id(
    orchestration: &Orchestration,
    workflow_id: &WorkflowId,
) -> Result<Option<String>, Problem> {
    let stored = orchestration.find(workflow_id).await?;
    let id = stored.and_then(|flow| flow.opening.plan.get("correlation_id")?.as_text().map(str::to_owned));
    Ok(id)
}

fn not_run(plan_id: &hive_domain::ids::PlanId, status: &'static str) -> Json<Started> {
    Json(Started {
        workflow_id: WorkflowId::for_plan(plan_id).as_str().to_owned(),
        status,
        correlation_id: None,
        result_summary: None,
        warnings: Vec::new(),
    })
}

fn warnings(findings: &Findings) -> Vec<FindingJson> {
    findings_json(&findings.warnings)
}
