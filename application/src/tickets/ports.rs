//! What the ticket use cases need from storage.

use std::sync::Arc;

use async_trait::async_trait;
use event_listener::EventListener;
use futures_util::stream::BoxStream;
use hive_domain::ids::{AgentId, IntentId, PlanId, TicketId};
use hive_domain::tickets::{
    Applied, Priority, Report, Ticket, TicketChange, TicketError, TicketEvent, TicketSnapshot, TicketStatus,
};
use hive_domain::time::Timestamp;

use super::generate_token::TokenClaims;
use crate::error::Error;

/// A decision about a ticket: looks at it, changes it through its own methods, may be asked again on another version.
pub type Change<'a> = dyn FnMut(&mut Ticket) -> Result<Applied, TicketError> + Send + 'a;

/// Storage of tickets. Every write commits the row, its history and its outbox records together, or nothing.
#[async_trait]
pub trait TicketRepository: Send + Sync {
    /// Saves new tickets, all or none; those whose id exists already are left as they are and handed back.
    async fn create(&self, tickets: Vec<Ticket>) -> Result<Vec<Creation>, Error>;

    /// The ticket, if there is one.
    async fn find(&self, id: &TicketId) -> Result<Option<Ticket>, Error>;

    /// One page of the tickets that match, newest first. A total above 1,000 may be up to 5 s old.
    async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error>;

    /// Lets `change` decide on the newest version and saves the outcome together with the tickets it spawns. Another
    /// writer in between costs another decision. `NotFound` when there is no such ticket.
    async fn update(&self, id: &TicketId, change: &mut Change<'_>) -> Result<(Ticket, Applied), Error>;

    /// What happened to the ticket, oldest first; empty for an unknown one.
    async fn history(&self, id: &TicketId) -> Result<Vec<HistoryEntry>, Error>;
}

/// What became of a ticket to create.
#[derive(Debug, Clone, PartialEq)]
pub enum Creation {
    /// It is saved.
    Created(Ticket),
    /// Its id was there before; this is what it names.
    Existing(Ticket),
}

/// Which tickets to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TicketFilter {
    /// Of this plan.
    pub plan_id: Option<PlanId>,
    /// Of this intent.
    pub intent_id: Option<IntentId>,
    /// In this status.
    pub status: Option<TicketStatus>,
    /// Of this priority.
    pub priority: Option<Priority>,
    /// Allocated to this agent.
    pub assigned_worker: Option<AgentId>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketQuery {
    /// Which tickets.
    pub filter: TicketFilter,
    /// Tickets to skip.
    pub offset: u64,
    /// Tickets to return at most.
    pub limit: u64,
    /// Only what comes after this place; skipping starts there.
    pub after: Option<TicketCursor>,
}

/// A place in the list of all tickets, newest first: right behind one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketCursor {
    /// When that ticket was created.
    pub created_at: Timestamp,
    /// Its number in storage, the higher the newer among tickets created at the same time.
    pub number: u64,
}

/// Tickets, and how many match altogether.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketPage {
    /// The tickets of this page.
    pub tickets: Vec<Ticket>,
    /// All that match.
    pub total: u64,
    /// Behind the last ticket of the page; none when nothing follows.
    pub next: Option<TicketCursor>,
}

/// One entry of a ticket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Names the entry for good.
    pub event_id: String,
    /// What happened.
    pub event: TicketEvent,
}

/// The outbox, read as a durable log. Offsets grow in commit order.
#[async_trait]
pub trait TicketLog: Send + Sync {
    /// Changes after `after` that `filter` lets through, at most `limit`, and how far the reading went.
    async fn read(&self, after: u64, filter: &LogFilter, limit: usize) -> Result<LogPage, Error>;

    /// The offset of the newest change; 0 when there is none.
    async fn end(&self) -> Result<u64, Error>;

    /// Completes after the next commit. Create it before the read that finds nothing.
    fn listen(&self) -> EventListener;

    /// How far `consumer` came; 0 for a new one.
    async fn committed(&self, consumer: &str) -> Result<u64, Error>;

    /// Remembers how far `consumer` came; never goes back.
    async fn commit(&self, consumer: &str, offset: u64) -> Result<(), Error>;
}

/// Which changes to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// Only tickets of this plan.
    pub plan_id: Option<PlanId>,
    /// Only tickets allocated to this agent.
    pub agent_id: Option<AgentId>,
}

impl LogFilter {
    /// Whether the filter lets `change` through.
    pub fn matches(&self, change: &TicketChange) -> bool {
        let ticket = &change.ticket;
        self.plan_id.as_ref().is_none_or(|plan| *plan == ticket.content.plan_id)
            && self.agent_id.as_ref().is_none_or(|agent| ticket.state.assigned_worker.as_ref() == Some(agent))
    }
}

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The changes that the filter lets through, in order.
    pub changes: Vec<Arc<TicketChange>>,
    /// Everything up to here was looked at.
    pub read_to: u64,
}

/// The ticket context, seen from an agent.
#[async_trait]
pub trait TicketDesk: Send + Sync {
    /// Every change of tickets allocated to `agent_id` after `after`, those to come included.
    async fn watch(
        &self,
        agent_id: &AgentId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error>;

    /// Reports how a ticket goes, and hands back how it stands then.
    async fn report(
        &self,
        ticket_id: &TicketId,
        status: TicketStatus,
        report: Report,
    ) -> Result<TicketSnapshot, Error>;

    /// What is dispatched to the agent and not over yet.
    async fn held(&self, agent_id: &AgentId) -> Result<Vec<TicketId>, Error>;

    /// How far the agent came in the log; 0 for a new one.
    async fn committed(&self, agent_id: &AgentId) -> Result<u64, Error>;

    /// Remembers how far the agent came in the log.
    async fn commit(&self, agent_id: &AgentId, offset: u64) -> Result<(), Error>;
}

/// Signs tokens.
pub trait TokenIssuer: Send + Sync {
    /// The claims as a signed token.
    fn issue(&self, claims: &TokenClaims) -> Result<String, Error>;
}
