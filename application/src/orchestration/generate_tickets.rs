//! C2: saves the tickets of a plan with the ticket context.

use hive_domain::orchestration::flow::Flow;

use super::ports::TicketGateway;
use crate::error::Error;

/// Tickets saved by one call. All calls together are no transaction: a repeated step finds its own tickets.
const AT_A_TIME: usize = 1_000;

/// Saves all tickets of the flow; those saved before count as saved.
pub(super) async fn execute(flow: &Flow, tickets: &dyn TicketGateway) -> Result<(), Error> {
    for planned in flow.planned().chunks(AT_A_TIME) {
        tickets.create(planned.to_vec()).await?;
    }
    Ok(())
}
