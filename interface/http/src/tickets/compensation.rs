//! `POST /api/v1/tickets/compensation`.

use axum::Json;
use axum::extract::State;
use hive_application::tickets::{CompensateTicketCommand, TicketApi};
use hive_domain::ids::TicketId;
use hive_domain::json::Json as Value;
use hive_domain::tickets::Compensation;
use serde::Serialize;

use crate::caller::Caller;
use crate::input::TicketBody;
use crate::problem::Problem;

/// The undo that was begun.
#[derive(Serialize)]
pub(super) struct Begun {
    ticket_id: String,
    original_ticket_id: String,
    status: &'static str,
    action: String,
    reason: String,
}

/// Begins to undo a ticket. Asked again, it tells of the undo there is.
pub(super) async fn compensate(
    State(api): State<TicketApi>,
    Caller(context): Caller,
    TicketBody(body): TicketBody,
) -> Result<Json<Begun>, Problem> {
    body.required_text("original_ticket_id")?;
    let original = body.id("original_ticket_id", TicketId::parse)?;
    let ticket_id = original.ok_or_else(|| Problem::invalid("original_ticket_id", "is required"))?;
    let wanted = Compensation {
        reason: body.required_text("reason")?.to_owned(),
        action: body.text("compensation_action")?.filter(|text| !text.is_empty()).map(str::to_owned),
        parameters: body.object("parameters")?.unwrap_or_default(),
    };
    let command = CompensateTicketCommand { ticket_id, wanted };
    let undo = api.tickets.compensate.execute(&context, &command).await?;
    let parameter = |key: &str| {
        let text = undo.content().parameters.get(key).and_then(Value::as_text);
        text.unwrap_or_default().to_owned()
    };
    Ok(Json(Begun {
        ticket_id: undo.id().as_str().to_owned(),
        original_ticket_id: command.ticket_id.as_str().to_owned(),
        status: undo.status().as_str(),
        action: parameter("action"),
        reason: parameter("reason"),
    }))
}
