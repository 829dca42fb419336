//! The ticket context as an agent sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::tickets::{
    ChangeTicketStatusCommand, LogFilter, TicketDesk, TicketFilter, TicketQuery, Tickets,
};
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::public::{Report, TicketChange, TicketSnapshot, TicketStatus};

/// The ticket context in the same process.
#[derive(Clone, Debug)]
pub struct DeskPeer {
    tickets: Tickets,
}

impl DeskPeer {
    /// Calls `tickets` in the name of the reporting agent.
    pub fn new(tickets: Tickets) -> Self {
        DeskPeer { tickets }
    }
}

/// Tickets looked at together.
const PAGE: u64 = 500;

#[async_trait]
impl TicketDesk for DeskPeer {
    async fn watch(
        &self,
        agent_id: &AgentId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let filter = LogFilter { agent_id: Some(agent_id.clone()), ..LogFilter::default() };
        Ok(self.tickets.watch(filter, after))
    }

    async fn report(
        &self,
        ticket_id: &TicketId,
        status: TicketStatus,
        report: Report,
    ) -> Result<TicketSnapshot, Error> {
        let principal = report.agent.as_ref().map_or("agent", |(agent, _)| agent.as_str());
        let context = CallContext::internal(principal);
        let command = ChangeTicketStatusCommand { ticket_id: ticket_id.clone(), status, report };
        let (ticket, _) = self.tickets.change_status.execute(&context, &command).await?;
        Ok(ticket.snapshot())
    }

    async fn held(&self, agent_id: &AgentId) -> Result<Vec<TicketId>, Error> {
        let filter = TicketFilter {
            assigned_worker: Some(agent_id.clone()),
            status: Some(TicketStatus::Running),
            ..TicketFilter::default()
        };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = TicketQuery { filter: filter.clone(), offset: 0, limit: PAGE, after };
            let page = self.tickets.list(&query).await?;
            found.extend(page.tickets.iter().map(|ticket| ticket.id().clone()));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    async fn committed(&self, agent_id: &AgentId) -> Result<u64, Error> {
        self.tickets.committed(agent_id).await
    }

    async fn commit(&self, agent_id: &AgentId, offset: u64) -> Result<(), Error> {
        self.tickets.commit(agent_id, offset).await
    }
}
