//! Where a flow stands, and what it asks its driver to do.

use std::sync::Arc;

use super::entry::FlowEntry;
use super::schedule::Need;
use crate::ids::TicketId;
use crate::tickets::public::{Order, TicketContent};
use crate::time::Timestamp;

/// Where a flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// C2: tickets are being made.
    Generating,
    /// C3 and C4 for every ticket, until all have ended.
    Executing,
    /// A failed plan is being undone.
    Compensating,
    /// C5 and C6.
    Consolidating,
    /// Done.
    Ended,
}

impl Phase {
    /// The word that status queries answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Generating => "generating_tickets",
            Phase::Executing => "executing",
            Phase::Compensating => "compensating",
            Phase::Consolidating => "consolidating_results",
            Phase::Ended => "completed",
        }
    }
}

/// How the reason begins for which a ticket leaves an agent that took too long.
pub const TIMED_OUT: &str = "timed out";

/// What a driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// C2: save the tickets, then enter [`FlowEntry::TicketsGenerated`].
    GenerateTickets,
    /// Give a ticket an order.
    Order(TicketId, Order),
    /// Enter this, durably, before anything else.
    Enter(FlowEntry),
    /// C5 and C6: consolidate, then enter [`FlowEntry::Closed`] together with the outcome.
    Consolidate,
}

/// A ticket that waits for an agent.
#[derive(Debug, Clone)]
pub struct Ready {
    pub(super) node: u32,
    /// What it needs of an agent.
    pub need: Need,
    /// The ticket.
    pub ticket_id: TicketId,
    /// What it asks for; for an undo, what the undone ticket asked for.
    pub content: Arc<TicketContent>,
    /// When the last of its dependencies completed.
    pub not_before: Option<Timestamp>,
}
