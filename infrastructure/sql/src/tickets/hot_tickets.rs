//! The newest versions of tickets that were changed or read lately.

use std::sync::Arc;

use hive_domain::ids::TicketId;
use hive_domain::tickets::{Ticket, TicketChange, TicketContent, TicketSnapshot};
use quick_cache::sync::{Cache, DefaultLifecycle as Lifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// A version of a ticket, and the number of its row.
#[derive(Debug, Clone)]
struct Hot {
    number: i64,
    ticket: Held,
}

/// Where a version comes from.
#[derive(Debug, Clone)]
enum Held {
    /// This process committed it, after every version before it.
    Written(Arc<TicketChange>),
    /// It was read, and may have been out of date already when it was put here.
    Read(Arc<TicketSnapshot>),
}

impl Hot {
    fn snapshot(&self) -> &TicketSnapshot {
        match &self.ticket {
            Held::Written(change) => &change.ticket,
            Held::Read(snapshot) => snapshot,
        }
    }
}

/// Versions of tickets that were changed or read lately. A hint: a write states the version it decided on, and the
/// database compares; a read compares the version, unless this process alone writes and committed it.
#[derive(Debug)]
pub(super) struct HotTickets(Cache<TicketId, Hot>);

impl HotTickets {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            // Half for what came last: who reads a page or a plan often reads it again.
            .hot_allocation(0.5)
            .build();
        let Ok(options) = options else { return HotTickets(Cache::new(capacity)) };
        HotTickets(Cache::with_options(
            options,
            UnitWeighter,
            DefaultHashBuilder::default(),
            Lifecycle::default(),
        ))
    }

    /// The ticket, probably in its newest version, and the number of its row.
    pub(super) fn get(&self, id: &TicketId) -> Option<(Ticket, i64)> {
        self.0.get(id).map(|hot| (hot.snapshot().clone().into(), hot.number))
    }

    /// What the ticket asks for, which never changes.
    pub(super) fn content(&self, id: &TicketId) -> Option<Arc<TicketContent>> {
        self.0.get(id).map(|hot| Arc::clone(&hot.snapshot().content))
    }

    /// The ticket as this process committed it last.
    pub(super) fn written(&self, id: &TicketId) -> Option<Ticket> {
        match self.0.get(id)?.ticket {
            Held::Written(change) => Some(change.ticket.clone().into()),
            Held::Read(_) => None,
        }
    }

    /// The ticket in just this version.
    pub(super) fn at(&self, id: &TicketId, version: u64) -> Option<Ticket> {
        let hot = self.0.get(id)?;
        let snapshot = hot.snapshot();
        (snapshot.version == version).then(|| snapshot.clone().into())
    }

    /// Remembers a ticket that was committed, which lies in the row of that number.
    pub(super) fn keep(&self, number: i64, change: Arc<TicketChange>) {
        let id = change.ticket.content.ticket_id.clone();
        self.0.insert(id, Hot { number, ticket: Held::Written(change) });
    }

    /// Remembers a ticket that was read, unless a newer version is known.
    pub(super) fn learn(&self, number: i64, ticket: &Ticket) {
        if self.0.get(ticket.id()).is_none_or(|hot| hot.snapshot().version < ticket.version()) {
            let hot = Hot { number, ticket: Held::Read(Arc::new(ticket.snapshot())) };
            self.0.insert(ticket.id().clone(), hot);
        }
    }

    /// Forgets everything: what is in the database is not what was committed here.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
