//! `PATCH /api/v1/tickets/{ticket_id}/status`, `PATCH /api/v1/tickets/{ticket_id}` and `POST …/retry`.

use axum::extract::State;
use axum::response::Response;
use hive_application::context::CallContext;
use hive_application::tickets::{AmendTicketCommand, TicketApi, report_text};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::{Annotation, Report, TicketStatus};
use http::StatusCode;

use super::convert;
use crate::caller::{Caller, PRINCIPAL};
use crate::fields::Fields;
use crate::input::{PathText, TicketBody};
use crate::problem::Problem;

/// Sets the status, which must be given.
pub(super) async fn change(
    State(api): State<TicketApi>,
    path: PathText,
    Caller(context): Caller,
    TicketBody(body): TicketBody,
) -> Result<Response, Problem> {
    body.required_text("status")?;
    patch(&api, context, &path, &body).await
}

/// Sets the status, if one is given, and notes what else is given.
pub(super) async fn amend(
    State(api): State<TicketApi>,
    path: PathText,
    Caller(context): Caller,
    TicketBody(body): TicketBody,
) -> Result<Response, Problem> {
    patch(&api, context, &path, &body).await
}

/// Puts a failed ticket back into the queue.
pub(super) async fn retry(
    State(api): State<TicketApi>,
    path: PathText,
    Caller(context): Caller,
) -> Result<Response, Problem> {
    let ticket_id = path.id("ticket_id", TicketId::parse)?;
    let (ticket, _) = api.retry(&context, ticket_id).await?;
    Ok(convert::answer(StatusCode::OK, &ticket))
}

async fn patch(
    api: &TicketApi,
    mut context: CallContext,
    path: &PathText,
    body: &Fields,
) -> Result<Response, Problem> {
    let ticket_id = path.id("ticket_id", TicketId::parse)?;
    let report = report(body)?;
    if let Some((agent, _)) = report.agent.as_ref().filter(|_| context.principal == PRINCIPAL) {
        context.principal = agent.as_str().to_owned();
    }
    let status = body.text("status")?.map(status).transpose()?;
    let annotation = Annotation {
        assigned_worker: body.id("assigned_worker", AgentId::parse)?,
        metadata: body.metadata("metadata").unwrap_or_default(),
    };
    if status.is_none() && annotation.is_empty() {
        return Err(Problem::invalid("status", "is required when there is nothing else to set"));
    }
    let report = status.map(|status| (status, report));
    let command = AmendTicketCommand { ticket_id, report, annotation };
    let (ticket, _) = api.tickets.amend.execute(&context, &command).await?;
    Ok(convert::answer(StatusCode::OK, &ticket))
}

fn report(body: &Fields) -> Result<Report, Problem> {
    let agent = body.id("agent_id", AgentId::parse)?;
    let epoch = body.integer("epoch")?;
    let epoch = epoch
        .map(|epoch| u64::try_from(epoch).map_err(|_| Problem::invalid("epoch", "must not be negative")))
        .transpose()?;
    let agent = match (agent, epoch) {
        (Some(agent), Some(epoch)) => Some((agent, epoch)),
        (None, None) => None,
        (Some(_), None) => return Err(Problem::invalid("epoch", "is required together with agent_id")),
        (None, Some(_)) => return Err(Problem::invalid("agent_id", "is required together with epoch")),
    };
    let actual_duration_ms = body.integer("actual_duration_ms")?;
    if actual_duration_ms.is_some_and(|ms| ms < 0) {
        return Err(Problem::invalid("actual_duration_ms", "must not be negative"));
    }
    let error_message = body.text("error_message")?.filter(|text| !text.is_empty());
    let error_message = error_message.map(|text| report_text(text.to_owned()));
    Ok(Report { agent, error_message, retryable: body.flag("retryable")?, actual_duration_ms })
}

fn status(text: &str) -> Result<TicketStatus, Problem> {
    let words = || TicketStatus::ALL.map(TicketStatus::as_str).join(", ");
    TicketStatus::parse(text)
        .ok_or_else(|| Problem::invalid("status", format_args!("must be one of {}", words())))
}
