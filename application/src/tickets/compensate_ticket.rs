//! Begins to undo a ticket at the wish of a caller.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Compensation, Ticket};

use super::ports::TicketRepository;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;

/// Which ticket to undo, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct CompensateTicketCommand {
    /// The ticket.
    pub ticket_id: TicketId,
    /// How.
    pub wanted: Compensation,
}

/// Begins undos. A ticket is undone once: a second wish is answered with the undo there is.
#[derive(Clone)]
pub struct CompensateTicket {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
}

impl CompensateTicket {
    pub(super) fn new(repository: Arc<dyn TicketRepository>, clock: Arc<dyn Clock>) -> Self {
        CompensateTicket { repository, clock }
    }

    /// Begins the undo and hands back the ticket that does it.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &CompensateTicketCommand,
    ) -> Result<Ticket, Error> {
        context.may_change(&command.ticket_id)?;
        let now = self.clock.now();
        let mut change = |ticket: &mut Ticket| ticket.compensate_by(&command.wanted, now, &context.principal);
        self.repository.update(&command.ticket_id, &mut change).await?;
        let undo = TicketId::for_compensation(&command.ticket_id);
        self.repository.find(&undo).await?.ok_or_else(|| Error::not_found("Ticket", &undo))
    }
}

impl std::fmt::Debug for CompensateTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompensateTicket").finish_non_exhaustive()
    }
}
