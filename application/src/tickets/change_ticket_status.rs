//! Applies what a worker, or a caller of the API, reports about a ticket.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Report, Ticket, TicketStatus};

use super::ports::TicketRepository;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;

/// A reported status.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeTicketStatusCommand {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Where it stands according to the report.
    pub status: TicketStatus,
    /// Who reports, and details.
    pub report: Report,
}

/// Applies a report. The first RUNNING report of an agent takes the ticket.
#[derive(Clone)]
pub struct ChangeTicketStatus {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
}

impl ChangeTicketStatus {
    pub(super) fn new(repository: Arc<dyn TicketRepository>, clock: Arc<dyn Clock>) -> Self {
        ChangeTicketStatus { repository, clock }
    }

    /// Applies the report; a repeated one changes nothing.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &ChangeTicketStatusCommand,
    ) -> Result<(Ticket, Applied), Error> {
        context.may_change(&command.ticket_id)?;
        let now = self.clock.now();
        let mut change =
            |ticket: &mut Ticket| ticket.report(command.status, &command.report, now, &context.principal);
        self.repository.update(&command.ticket_id, &mut change).await
    }
}

impl std::fmt::Debug for ChangeTicketStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeTicketStatus").finish_non_exhaustive()
    }
}
