//! C4: hands tickets to their agents, and gives whatever other orders the flow has.

use futures_util::stream::{self, StreamExt};
use hive_domain::ids::TicketId;
use hive_domain::orchestration::allocation::Allocation;
use hive_domain::orchestration::flow::Ready;
use hive_domain::tickets::public::{Dispatch, Order};

use super::ports::TicketGateway;
use crate::error::{Error, ErrorKind, chain};

/// Orders on their way at a time. They share commits, so many at once cost little more than one.
const AT_A_TIME: usize = 128;

/// The order that hands a ticket to its agent.
pub(super) fn dispatch((ready, allocation): (Ready, Allocation)) -> (TicketId, Order) {
    let Allocation { agent_id, epoch, explanation } = allocation;
    let not_before = ready.not_before;
    let dispatch = Dispatch { agent: agent_id, epoch, allocation: explanation, not_before };
    (ready.ticket_id, Order::Dispatch(dispatch))
}

/// Gives all orders. One that the ticket refuses is overtaken by something the ticket log tells; it is dropped.
pub(super) async fn execute(
    orders: Vec<(TicketId, Order)>,
    tickets: &dyn TicketGateway,
) -> Result<(), Error> {
    let mut given = stream::iter(orders)
        .map(|(ticket_id, order)| async move {
            let outcome = tickets.order(&ticket_id, order).await;
            (ticket_id, outcome)
        })
        .buffer_unordered(AT_A_TIME);
    let mut failure = None;
    while let Some((ticket_id, outcome)) = given.next().await {
        match outcome {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::FailedPrecondition => {
                tracing::debug!(ticket.id = %ticket_id, error = chain(&error), "ticket {ticket_id} refused an order");
            }
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(()), Err)
}
