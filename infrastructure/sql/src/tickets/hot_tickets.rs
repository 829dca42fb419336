//! The newest versions of tickets that were changed lately.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Ticket, TicketChange};
use quick_cache::sync::Cache;

/// The newest version of a ticket, and the number of its row.
#[derive(Debug, Clone)]
struct Hot {
    number: i64,
    change: Arc<TicketChange>,
}

/// The newest version of tickets that were changed lately, as this process committed it. A hint, never the truth: a
/// write states the version it decided on, and the database compares.
#[derive(Debug)]
pub(super) struct HotTickets(Cache<TicketId, Hot>);

impl HotTickets {
    pub(super) fn new(capacity: usize) -> Self {
        HotTickets(Cache::new(capacity.max(1)))
    }

    /// The ticket as it was committed here last, and the number of its row.
    pub(super) fn get(&self, id: &TicketId) -> Option<(Ticket, i64)> {
        self.0.get(id).map(|hot| (hot.change.ticket.clone().into(), hot.number))
    }

    /// Remembers a ticket, which lies in the row of that number.
    pub(super) fn keep(&self, number: i64, change: Arc<TicketChange>) {
        self.0.insert(change.ticket.content.ticket_id.clone(), Hot { number, change });
    }
}
