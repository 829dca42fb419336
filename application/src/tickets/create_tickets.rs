//! Saves new tickets, once each.

use std::collections::BTreeMap;
use std::sync::Arc;

use hive_domain::tickets::{Ticket, TicketContent};

use super::ports::{Creation, TicketRepository};
use crate::context::CallContext;
use crate::error::{Error, ErrorKind};

/// A ticket to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTicket {
    /// What it asks for.
    pub content: Arc<TicketContent>,
    /// Free text pairs.
    pub metadata: BTreeMap<String, String>,
}

/// Saves new tickets. A ticket that exists with the same content counts as created.
#[derive(Clone)]
pub struct CreateTickets {
    repository: Arc<dyn TicketRepository>,
}

impl CreateTickets {
    pub(super) fn new(repository: Arc<dyn TicketRepository>) -> Self {
        CreateTickets { repository }
    }

    /// Creates the tickets in one transaction. `AlreadyExists` when an id names a ticket with other content: that one is
    /// left as it is, the others are created.
    pub async fn execute(
        &self,
        context: &CallContext,
        tickets: Vec<NewTicket>,
    ) -> Result<Vec<Ticket>, Error> {
        context.must_be_service()?;
        let wanted = tickets
            .into_iter()
            .map(|new| Ticket::create(new.content, new.metadata, &context.principal))
            .collect::<Result<Vec<_>, _>>()?;
        let contents: Vec<_> = wanted.iter().map(|ticket| Arc::clone(ticket.content())).collect();
        let creations = self.repository.create(wanted).await?;
        creations
            .into_iter()
            .zip(contents)
            .map(|(creation, wanted)| match creation {
                Creation::Created(ticket) => Ok(ticket),
                Creation::Existing(ticket) if *ticket.content() == wanted => Ok(ticket),
                Creation::Existing(ticket) => Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "TICKET_EXISTS",
                    format!("Ticket {} exists with other content", ticket.id()),
                )),
            })
            .collect()
    }
}

impl std::fmt::Debug for CreateTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateTickets").finish_non_exhaustive()
    }
}
