//! The ticket context as orchestration sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::orchestration::TicketGateway;
use hive_application::tickets::{
    LogFilter, NewTicket, OrderTicketCommand, ReleaseTicketsCommand, TicketFilter, TicketQuery, Tickets,
};
use hive_domain::ids::{AgentId, PlanId, TicketId};
use hive_domain::orchestration::generation::{GENERATED_BY, PlannedTicket};
use hive_domain::tickets::public::{Order, TicketChange, TicketSnapshot};

/// Tickets listed at once.
const PAGE: u64 = 1_000;

/// The ticket context in the same process.
#[derive(Clone, Debug)]
pub struct TicketPeer {
    tickets: Tickets,
    context: CallContext,
}

impl TicketPeer {
    /// Calls `tickets` in the name of orchestration.
    pub fn new(tickets: Tickets) -> Self {
        TicketPeer { tickets, context: CallContext::internal(GENERATED_BY) }
    }
}

#[async_trait]
impl TicketGateway for TicketPeer {
    async fn create(&self, tickets: Vec<PlannedTicket>) -> Result<(), Error> {
        let new = |planned: PlannedTicket| NewTicket { content: planned.content, metadata: planned.metadata };
        let tickets = tickets.into_iter().map(new).collect();
        self.tickets.create.execute(&self.context, tickets).await?;
        Ok(())
    }

    async fn order(&self, ticket_id: &TicketId, order: Order) -> Result<(), Error> {
        let command = OrderTicketCommand { ticket_id: ticket_id.clone(), order };
        self.tickets.order.execute(&self.context, &command).await?;
        Ok(())
    }

    async fn list(&self, plan_id: &PlanId) -> Result<Vec<TicketSnapshot>, Error> {
        let filter = TicketFilter { plan_id: Some(plan_id.clone()), ..TicketFilter::default() };
        let mut found: Vec<TicketSnapshot> = Vec::new();
        loop {
            let query =
                TicketQuery { filter: filter.clone(), offset: found.len() as u64, limit: PAGE, after: None };
            let page = self.tickets.list(&query).await?;
            found.extend(page.tickets.iter().map(|ticket| ticket.snapshot()));
            if page.tickets.is_empty() || found.len() as u64 >= page.total {
                return Ok(found);
            }
        }
    }

    async fn watch(
        &self,
        plan_id: &PlanId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let filter = LogFilter { plan_id: Some(plan_id.clone()), ..LogFilter::default() };
        Ok(self.tickets.watch(filter, after))
    }

    async fn fence(&self, agent_id: &AgentId, epoch: u64) -> Result<u64, Error> {
        let command = ReleaseTicketsCommand::Fence { agent_id: agent_id.clone(), epoch };
        self.tickets.release.execute(&self.context, &command).await
    }

    async fn release_lost(&self, agent_id: &AgentId) -> Result<u64, Error> {
        let command = ReleaseTicketsCommand::Lost { agent_id: agent_id.clone() };
        self.tickets.release.execute(&self.context, &command).await
    }
}
