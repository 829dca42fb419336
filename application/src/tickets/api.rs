//! The ticket context as callers of the service interfaces use it: [`Tickets`], and what only callers need.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Applied, Order, Ticket};

use super::Tickets;
use super::generate_token::{GenerateToken, TokenConfig};
use super::list_tickets::ListTickets;
use super::order_ticket::OrderTicketCommand;
use super::ports::TokenIssuer;
use super::submit_tickets::SubmitTickets;
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;
use crate::ids::IdGenerator;

/// Everything the service interfaces offer.
#[derive(Clone, Debug)]
pub struct TicketApi {
    /// What the parts of the system use too.
    pub tickets: Tickets,
    /// Creates tickets from drafts.
    pub submit: SubmitTickets,
    /// Lists tickets in pages.
    pub list: ListTickets,
    /// Makes tokens.
    pub token: GenerateToken,
}

impl TicketApi {
    /// The interface to `tickets`.
    pub fn new(
        tickets: Tickets,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        issuer: Arc<dyn TokenIssuer>,
        tokens: TokenConfig,
    ) -> Self {
        let repository = &tickets.repository;
        TicketApi {
            submit: SubmitTickets::new(Arc::clone(repository), Arc::clone(&clock), Arc::clone(&ids)),
            list: ListTickets::new(Arc::clone(repository)),
            token: GenerateToken::new(Arc::clone(repository), clock, ids, issuer, tokens),
            tickets,
        }
    }

    /// Puts a failed ticket back into the queue at the wish of a caller, counting the try; one that is PENDING stays.
    pub async fn retry(
        &self,
        context: &CallContext,
        ticket_id: TicketId,
    ) -> Result<(Ticket, Applied), Error> {
        let command = OrderTicketCommand { ticket_id, order: Order::Retry };
        self.tickets.order.execute(context, &command).await
    }
}
