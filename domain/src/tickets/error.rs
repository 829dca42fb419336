//! Why a ticket refuses a change.

use super::status::TicketStatus;
use crate::ids::{AgentId, TicketId};

/// A refused change. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The table of moves has no such move.
    #[error("invalid transition of ticket {ticket} from {from} to {to}")]
    InvalidTransition {
        /// The ticket.
        ticket: TicketId,
        /// Its status.
        from: TicketStatus,
        /// The status asked for.
        to: TicketStatus,
    },
    /// The retries agreed in the SLA are used up.
    #[error("ticket {ticket} was tried again {max_retries} times, which is all its SLA allows")]
    RetriesExhausted {
        /// The ticket.
        ticket: TicketId,
        /// The limit.
        max_retries: i32,
    },
    /// The ticket was not dispatched to the agent, or not taken by it.
    #[error("ticket {ticket} is not with agent {agent}")]
    NotYours {
        /// The ticket.
        ticket: TicketId,
        /// The agent that reports.
        agent: AgentId,
    },
    /// The report comes from an incarnation of the agent that a newer one replaced.
    #[error("ticket {ticket} is held under epoch {held:?}, the report is from epoch {reported}")]
    StaleEpoch {
        /// The ticket.
        ticket: TicketId,
        /// The epoch that holds the ticket; none when it was returned to the queue.
        held: Option<u64>,
        /// The epoch of the report.
        reported: u64,
    },
    /// A field of a new ticket breaks a rule of the schema.
    #[error("{field} {problem}")]
    InvalidField {
        /// The field, as a path.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}
