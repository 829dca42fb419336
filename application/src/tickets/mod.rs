//! The ticket use cases, and their facade.

mod amend_ticket;
mod api;
mod change_ticket_status;
mod compensate_ticket;
mod create_tickets;
mod draft_fields;
mod generate_token;
mod list_tickets;
mod order_ticket;
mod page_token;
mod ports;
mod release_tickets;
mod report_text;
mod submit_tickets;
#[cfg(test)]
mod testing;
mod ticket_draft;
mod watch_tickets;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::{Ticket, TicketChange};

pub use amend_ticket::{AmendTicket, AmendTicketCommand};
pub use api::TicketApi;
pub use change_ticket_status::{ChangeTicketStatus, ChangeTicketStatusCommand};
pub use compensate_ticket::{CompensateTicket, CompensateTicketCommand};
pub use create_tickets::{CreateTickets, NewTicket};
pub use draft_fields::MAX_TEXT_BYTES;
pub use generate_token::{GenerateToken, IssuedToken, TOKEN_TYPE, TokenClaims, TokenConfig};
pub use list_tickets::{DEFAULT_PAGE, ListTickets, ListTicketsCommand, MAX_PAGE, TicketListing};
pub use order_ticket::{OrderTicket, OrderTicketCommand};
pub use ports::{
    Change, Creation, HistoryEntry, LogFilter, LogPage, TicketCursor, TicketDesk, TicketFilter, TicketLog,
    TicketPage, TicketQuery, TicketRepository, TokenIssuer,
};
pub use release_tickets::{ReleaseTickets, ReleaseTicketsCommand};
pub use report_text::report_text;
pub use submit_tickets::{MAX_SUBMITTED, SubmitTickets, SubmittedTicket};
pub use ticket_draft::{GivenPriority, QosDraft, SlaDraft, TicketDraft, metadata_of};

use crate::clock::Clock;
use crate::error::Error;

/// Everything that can be asked of the ticket context.
#[derive(Clone)]
pub struct Tickets {
    /// Saves new tickets.
    pub create: CreateTickets,
    /// Applies what workers and callers report.
    pub change_status: ChangeTicketStatus,
    /// Applies what a caller of the API wants: a status, something to note, or both.
    pub amend: AmendTicket,
    /// Begins the undo a caller wants.
    pub compensate: CompensateTicket,
    /// Applies what orchestration orders.
    pub order: OrderTicket,
    /// Takes tickets away from an agent that is gone.
    pub release: ReleaseTickets,
    repository: Arc<dyn TicketRepository>,
    log: Arc<dyn TicketLog>,
}

impl Tickets {
    /// The context on its ports.
    pub fn new(
        repository: Arc<dyn TicketRepository>,
        log: Arc<dyn TicketLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Tickets {
            create: CreateTickets::new(Arc::clone(&repository)),
            change_status: ChangeTicketStatus::new(Arc::clone(&repository), Arc::clone(&clock)),
            amend: AmendTicket::new(Arc::clone(&repository), Arc::clone(&clock)),
            compensate: CompensateTicket::new(Arc::clone(&repository), Arc::clone(&clock)),
            order: OrderTicket::new(Arc::clone(&repository), Arc::clone(&clock)),
            release: ReleaseTickets::new(Arc::clone(&repository), clock),
            repository,
            log,
        }
    }

    /// The ticket; `NotFound` when there is none.
    pub async fn get(&self, id: &TicketId) -> Result<Ticket, Error> {
        self.repository.find(id).await?.ok_or_else(|| Error::not_found("Ticket", id))
    }

    /// One page of the tickets that match, newest first.
    pub async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error> {
        self.repository.list(query).await
    }

    /// What happened to a ticket, oldest first; `NotFound` when there is none.
    pub async fn history(&self, id: &TicketId) -> Result<Vec<HistoryEntry>, Error> {
        let history = self.repository.history(id).await?;
        if history.is_empty() { Err(Error::not_found("Ticket", id)) } else { Ok(history) }
    }

    /// Every change after `after` that the filter lets through, those to come included. Ends only with an error.
    pub fn watch(
        &self,
        filter: LogFilter,
        after: u64,
    ) -> BoxStream<'static, Result<Arc<TicketChange>, Error>> {
        watch_tickets::watch(Arc::clone(&self.log), filter, after)
    }

    /// The offset of the newest change.
    pub async fn log_end(&self) -> Result<u64, Error> {
        self.log.end().await
    }

    /// How far an agent came in the log; 0 for a new one.
    pub async fn committed(&self, agent_id: &AgentId) -> Result<u64, Error> {
        self.log.committed(&consumer(agent_id)).await
    }

    /// Remembers how far an agent came in the log.
    pub async fn commit(&self, agent_id: &AgentId, offset: u64) -> Result<(), Error> {
        self.log.commit(&consumer(agent_id), offset).await
    }
}

/// The name under which an agent's place in the log is remembered.
fn consumer(agent_id: &AgentId) -> String {
    format!("agent:{agent_id}")
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}
