//! `POST /api/v1/tickets`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hive_application::tickets::{GivenPriority, QosDraft, SlaDraft, TicketApi, TicketDraft};
use hive_domain::json::Json;
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};

use super::convert;
use crate::caller::Caller;
use crate::fields::Fields;
use crate::input::TicketBody;
use crate::problem::Problem;

/// Creates the ticket in the body: 201. Sent again, it is answered with what is stored: 200.
pub(super) async fn create(
    State(api): State<TicketApi>,
    Caller(context): Caller,
    TicketBody(body): TicketBody,
) -> Result<Response, Problem> {
    let submitted = api.submit.one(&context, &draft(&body)?).await?;
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = convert::answer(status, &submitted.ticket).into_response();
    // An id may hold characters that a path may not; the id itself is in the body.
    let id = submitted.ticket.id().as_str();
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if let (true, Ok(place)) = (plain, HeaderValue::from_str(&format!("/api/v1/tickets/{id}"))) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

fn draft(body: &Fields) -> Result<TicketDraft, Problem> {
    let text = |key: &str| Ok::<_, Problem>(body.text(key)?.map(str::to_owned));
    Ok(TicketDraft {
        ticket_id: text("ticket_id")?,
        plan_id: text("plan_id")?,
        intent_id: text("intent_id")?,
        decision_id: text("decision_id")?,
        correlation_id: text("correlation_id")?,
        trace_id: text("trace_id")?,
        span_id: text("span_id")?,
        task_id: text("task_id")?,
        task_type: text("task_type")?,
        description: text("description")?,
        dependencies: body.texts("dependencies")?,
        status: text("status")?,
        priority: priority(body)?,
        risk_band: text("risk_band")?,
        sla: sla(body)?,
        qos: qos(body)?,
        parameters: body.object("parameters")?,
        required_capabilities: body.texts("required_capabilities")?,
        security_level: text("security_level")?,
        created_at: body.integer("created_at")?,
        estimated_duration_ms: body.integer("estimated_duration_ms")?,
        metadata: body.metadata("metadata"),
        predictions: body.get("predictions").cloned(),
        schema_version: body.integer("schema_version")?,
        set_by_service: set_by_service(body)?,
    })
}

/// The first of the fields that a new ticket cannot have yet.
fn set_by_service(body: &Fields) -> Result<Option<&'static str>, Problem> {
    const LATER: [&str; 5] =
        ["started_at", "completed_at", "actual_duration_ms", "error_message", "compensation_ticket_id"];
    if body.integer("retry_count")?.is_some_and(|count| count != 0) {
        return Ok(Some("retry_count"));
    }
    Ok(LATER.into_iter().find(|key| body.get(key).is_some()))
}

fn priority(body: &Fields) -> Result<Option<GivenPriority>, Problem> {
    match body.get("priority") {
        None => Ok(None),
        Some(Json::Text(word)) => Ok(Some(GivenPriority::Word(word.clone()))),
        Some(Json::Int(number)) => Ok(Some(GivenPriority::Scale(*number))),
        Some(other) => {
            let problem =
                format_args!("must be a word or a whole number, is {}", other.type_name()).to_string();
            Err(body.invalid("priority", problem))
        }
    }
}

fn sla(body: &Fields) -> Result<Option<SlaDraft>, Problem> {
    let Some(sla) = body.inner("sla", "sla.")? else { return Ok(None) };
    Ok(Some(SlaDraft {
        deadline: sla.integer("deadline")?,
        timeout_ms: sla.integer("timeout_ms")?,
        max_retries: sla.integer("max_retries")?,
    }))
}

fn qos(body: &Fields) -> Result<Option<QosDraft>, Problem> {
    let Some(qos) = body.inner("qos", "qos.")? else { return Ok(None) };
    let text = |key: &str| Ok::<_, Problem>(qos.text(key)?.map(str::to_owned));
    Ok(Some(QosDraft {
        delivery_mode: text("delivery_mode")?,
        consistency: text("consistency")?,
        durability: text("durability")?,
    }))
}
