//! Takes tickets away from an agent that is gone.

use std::sync::Arc;

use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::{Applied, Ticket, TicketStatus};

use super::ports::{TicketFilter, TicketQuery, TicketRepository};
use crate::clock::Clock;
use crate::context::CallContext;
use crate::error::Error;

/// Which tickets, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseTicketsCommand {
    /// The agent is back under `epoch`: what older incarnations hold returns to the queue, no try counted.
    Fence {
        /// The agent.
        agent_id: AgentId,
        /// Its new epoch.
        epoch: u64,
    },
    /// The agent vanished: what it holds, or was about to take, returns to the queue, a try counted.
    Lost {
        /// The agent.
        agent_id: AgentId,
    },
}

/// Takes tickets away from an agent.
#[derive(Clone)]
pub struct ReleaseTickets {
    repository: Arc<dyn TicketRepository>,
    clock: Arc<dyn Clock>,
}

const PAGE: u64 = 500;

impl ReleaseTickets {
    pub(super) fn new(repository: Arc<dyn TicketRepository>, clock: Arc<dyn Clock>) -> Self {
        ReleaseTickets { repository, clock }
    }

    /// Releases the tickets and tells how many it was.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &ReleaseTicketsCommand,
    ) -> Result<u64, Error> {
        context.must_be_service()?;
        let (ReleaseTicketsCommand::Fence { agent_id, .. } | ReleaseTicketsCommand::Lost { agent_id }) =
            command;
        let filter = TicketFilter {
            assigned_worker: Some(agent_id.clone()),
            status: Some(TicketStatus::Running),
            ..TicketFilter::default()
        };
        let (mut released, mut kept) = (0, 0);
        loop {
            // What is released leaves the list, what is kept stays at its front or moves back: it is looked at again,
            // which changes nothing.
            let query = TicketQuery { filter: filter.clone(), offset: kept, limit: PAGE, after: None };
            let page = self.repository.list(&query).await?;
            for ticket in &page.tickets {
                let applied = self.release(context, command, ticket.id()).await?;
                released += u64::from(applied == Applied::Applied);
                kept += u64::from(applied == Applied::AlreadyApplied);
            }
            if page.tickets.is_empty() {
                return Ok(released);
            }
        }
    }

    async fn release(
        &self,
        context: &CallContext,
        command: &ReleaseTicketsCommand,
        id: &TicketId,
    ) -> Result<Applied, Error> {
        let (now, by) = (self.clock.now(), &context.principal);
        let mut change = |ticket: &mut Ticket| match command {
            ReleaseTicketsCommand::Fence { agent_id, epoch } => ticket.release(agent_id, *epoch, now, by),
            ReleaseTicketsCommand::Lost { agent_id } => ticket.lose(agent_id, "its agent was lost", now, by),
        };
        let (_, applied) = self.repository.update(id, &mut change).await?;
        Ok(applied)
    }
}

impl std::fmt::Debug for ReleaseTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReleaseTickets").finish_non_exhaustive()
    }
}
