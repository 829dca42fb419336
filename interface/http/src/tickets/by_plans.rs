//! `POST /api/v1/tickets/by-plans`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use hive_application::error::{Error, invalid_id};
use hive_application::tickets::{TicketApi, TicketFilter, TicketQuery};
use hive_domain::ids::PlanId;
use serde::Serialize;

use crate::caller::ByService;
use crate::input::TicketBody;
use crate::problem::Problem;

/// Plans asked about at once.
const MAX_PLANS: usize = 100;
/// Tickets in one answer at most.
const MAX_TICKETS: usize = 20_000;
/// Tickets read at once.
const PAGE: u64 = 1_000;

/// Where the tickets of some plans stand.
#[derive(Serialize)]
pub(super) struct Standing {
    tickets: Vec<Short>,
    /// Whether there are more tickets than an answer holds.
    truncated: bool,
}

#[derive(Serialize)]
struct Short {
    plan_id: String,
    ticket_id: String,
    status: &'static str,
}

pub(super) async fn list(
    State(api): State<TicketApi>,
    _: ByService,
    TicketBody(body): TicketBody,
) -> Result<Json<Standing>, Problem> {
    let ids = body.texts("plan_ids")?.ok_or_else(|| body.invalid("plan_ids", "is required"))?;
    if ids.len() > MAX_PLANS {
        return Err(body.invalid("plan_ids", format_args!("has more than {MAX_PLANS} entries")));
    }
    let parse = |id: &String| PlanId::parse(id).map_err(invalid_id("plan_ids"));
    let plans: BTreeSet<PlanId> = ids.iter().map(parse).collect::<Result<_, Error>>()?;
    let mut standing = Standing { tickets: Vec::new(), truncated: false };
    for plan_id in plans {
        let filter = TicketFilter { plan_id: Some(plan_id), ..TicketFilter::default() };
        let mut query = TicketQuery { filter, offset: 0, limit: PAGE, after: None };
        loop {
            let page = api.tickets.list(&query).await?;
            let room = MAX_TICKETS - standing.tickets.len();
            standing.tickets.extend(page.tickets.iter().take(room).map(|ticket| Short {
                plan_id: ticket.content().plan_id.as_str().to_owned(),
                ticket_id: ticket.id().as_str().to_owned(),
                status: ticket.status().as_str(),
            }));
            if page.tickets.len() > room {
                standing.truncated = true;
                return Ok(Json(standing));
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
    }
    Ok(Json(standing))
}
