//! Applies what a caller of the API wants of a ticket: a status, something to note, or both together.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Annotation, Applied, Report, Ticket, TicketStatus};

use super::ports::TicketRepository;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;

/// What is wanted of one ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct AmendTicketCommand {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Where it stands, with who says so and details; none to leave it where it is.
    pub report: Option<(TicketStatus, Report)>,
    /// What to note on it.
    pub annotation: Annotation,
}

/// Amends tickets: everything that is wanted, or nothing.
#[derive(Clone)]
pub struct AmendTicket {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
}

impl AmendTicket {
    pub(super) fn new(repository: Arc<dyn TicketRepository>, clock: Arc<dyn Clock>) -> Self {
        AmendTicket { repository, clock }
    }

    /// Amends the ticket; what is so already changes nothing.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &AmendTicketCommand,
    ) -> Result<(Ticket, Applied), Error> {
        context.may_change(&command.ticket_id)?;
        let now = self.clock.now();
        let by = context.principal.as_str();
        let mut change = |ticket: &mut Ticket| {
            let reported = match &command.report {
                Some((status, report)) => ticket.report(*status, report, now, by)?,
                None => Applied::AlreadyApplied,
            };
            let noted = ticket.annotate(&command.annotation, now, by)?;
            Ok(if reported == Applied::Applied { reported } else { noted })
        };
        self.repository.update(&command.ticket_id, &mut change).await
    }
}

impl std::fmt::Debug for AmendTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmendTicket").finish_non_exhaustive()
    }
}
