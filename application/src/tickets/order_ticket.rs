//! Applies what orchestration orders a ticket to do.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Order, Ticket};

use super::ports::TicketRepository;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;

/// An order to one ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderTicketCommand {
    /// The ticket.
    pub ticket_id: TicketId,
    /// What it shall do.
    pub order: Order,
}

/// Applies orders.
#[derive(Clone)]
pub struct OrderTicket {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
}

impl OrderTicket {
    pub(super) fn new(repository: Arc<dyn TicketRepository>, clock: Arc<dyn Clock>) -> Self {
        OrderTicket { repository, clock }
    }

    /// Applies the order; a repeated one changes nothing.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &OrderTicketCommand,
    ) -> Result<(Ticket, Applied), Error> {
        context.must_be_service()?;
        let now = self.clock.now();
        let mut change = |ticket: &mut Ticket| ticket.obey(command.order.clone(), now, &context.principal);
        self.repository.update(&command.ticket_id, &mut change).await
    }
}

impl std::fmt::Debug for OrderTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderTicket").finish_non_exhaustive()
    }
}
