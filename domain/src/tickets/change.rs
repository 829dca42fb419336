//! A ticket as others see it, and one step of its life.

use std::sync::Arc;

use super::content::{TicketContent, TicketState};
use super::event::TicketEvent;
use super::ticket::Ticket;

/// A ticket at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketSnapshot {
    /// What it asks for.
    pub content: Arc<TicketContent>,
    /// How far it was.
    pub state: TicketState,
    /// The number of the change that led there.
    pub version: u64,
}

/// One saved change, in the order of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketChange {
    /// Place in the log; grows with every change, not by one.
    pub offset: u64,
    /// What was done.
    pub event: TicketEvent,
    /// The ticket right after.
    pub ticket: TicketSnapshot,
}

impl Ticket {
    /// The ticket as it is now.
    pub fn snapshot(&self) -> TicketSnapshot {
        TicketSnapshot {
            content: Arc::clone(self.content()),
            state: self.state().clone(),
            version: self.version(),
        }
    }
}

impl From<TicketSnapshot> for Ticket {
    fn from(snapshot: TicketSnapshot) -> Self {
        Ticket::restore(snapshot.content, snapshot.state, snapshot.version)
    }
}
