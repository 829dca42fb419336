//! `hive.tickets.v1.TicketDispatch`: what orchestration and agents ask beside the public service.

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hive_application::context::CallContext;
use hive_application::error::{Error, invalid_id};
use hive_application::tickets::{
    NewTicket, OrderTicketCommand, ReleaseTicketsCommand, TicketFilter, TicketQuery, Tickets,
};
use hive_domain::ids::{AgentId, PlanId};
use hive_domain::orchestration::generation::GENERATED_BY;
use hive_domain::tickets::Ticket;
use hive_mapping::{order, ticket};
use hive_proto::grpc::hive::tickets::v1 as wire;
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_server::{self, TicketDispatchServer};
use hive_proto::grpc::neural_hive::execution::ExecutionTicket;
use tonic::{Request, Response, Status};

use crate::caller::{self, ANONYMOUS};
use crate::status::to_status;

/// Tickets read at once.
const PAGE: u64 = 256;

/// The servicer.
#[derive(Debug, Clone)]
pub struct TicketDispatch {
    tickets: Tickets,
}

impl TicketDispatch {
    /// Serves `tickets`.
    pub fn new(tickets: Tickets) -> Self {
        TicketDispatch { tickets }
    }

    /// As a tonic service, ready to be mounted.
    pub fn into_server(self) -> TicketDispatchServer<Self> {
        TicketDispatchServer::new(self)
    }

    async fn create(&self, context: &CallContext, tickets: Vec<ExecutionTicket>) -> Result<(), Error> {
        let read = |wire| {
            let planned = ticket::snapshot(wire)?;
            Ok(NewTicket { content: planned.content, metadata: planned.state.metadata })
        };
        let tickets = tickets.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        self.tickets.create.execute(context, tickets).await.map(drop)
    }

    async fn release(
        &self,
        context: &CallContext,
        command: ReleaseTicketsCommand,
    ) -> Result<Response<wire::ReleasedTickets>, Status> {
        let count = self.tickets.release.execute(context, &command).await.map_err(to_status)?;
        Ok(Response::new(wire::ReleasedTickets { count }))
    }
}

/// A service; where nobody is asked for a token, orchestration is who calls.
fn context<T>(request: &Request<T>) -> Result<CallContext, Status> {
    let context = caller::service(request)?;
    let known = context.principal != ANONYMOUS;
    Ok(if known { context } else { CallContext { principal: GENERATED_BY.to_owned(), ..context } })
}

fn agent_id(text: &str) -> Result<AgentId, Status> {
    AgentId::parse(text).map_err(invalid_id("agent_id")).map_err(to_status)
}

fn pages(tickets: Tickets, plan_id: PlanId) -> BoxStream<'static, Result<Vec<Ticket>, Error>> {
    let filter = TicketFilter { plan_id: Some(plan_id), ..TicketFilter::default() };
    let first = Some(TicketQuery { filter, offset: 0, limit: PAGE, after: None });
    let pages = stream::try_unfold((tickets, first), |(tickets, query)| async move {
        let Some(query) = query else { return Ok(None) };
        let page = tickets.list(&query).await?;
        let next = page.next.map(|after| TicketQuery { after: Some(after), ..query });
        Ok::<_, Error>(Some((page.tickets, (tickets, next))))
    });
    pages.boxed()
}

#[async_trait]
impl ticket_dispatch_server::TicketDispatch for TicketDispatch {
    async fn create_planned_tickets(
        &self,
        request: Request<wire::CreatePlannedTicketsRequest>,
    ) -> Result<Response<wire::CreatePlannedTicketsResponse>, Status> {
        let context = context(&request)?;
        self.create(&context, request.into_inner().tickets).await.map_err(to_status)?;
        Ok(Response::new(wire::CreatePlannedTicketsResponse {}))
    }

    async fn order_ticket(
        &self,
        request: Request<wire::OrderTicketRequest>,
    ) -> Result<Response<wire::OrderTicketResponse>, Status> {
        let context = context(&request)?;
        let (ticket_id, order) = order::read(request.into_inner()).map_err(to_status)?;
        let command = OrderTicketCommand { ticket_id, order };
        self.tickets.order.execute(&context, &command).await.map_err(to_status)?;
        Ok(Response::new(wire::OrderTicketResponse {}))
    }

    type ListPlanTicketsStream = BoxStream<'static, Result<ExecutionTicket, Status>>;

    async fn list_plan_tickets(
        &self,
        request: Request<wire::ListPlanTicketsRequest>,
    ) -> Result<Response<Self::ListPlanTicketsStream>, Status> {
        context(&request)?;
        let plan_id = PlanId::parse(&request.get_ref().plan_id);
        let plan_id = plan_id.map_err(invalid_id("plan_id")).map_err(to_status)?;
        let tickets = pages(self.tickets.clone(), plan_id).map_ok(|page| {
            let encode = |found: Ticket| ticket::ticket(found.content(), found.state(), found.version());
            stream::iter(page.into_iter().map(encode).map(Ok))
        });
        Ok(Response::new(tickets.try_flatten().map_err(to_status).boxed()))
    }

    async fn fence_agent(
        &self,
        request: Request<wire::FenceAgentRequest>,
    ) -> Result<Response<wire::ReleasedTickets>, Status> {
        let context = context(&request)?;
        let wire::FenceAgentRequest { agent_id: id, epoch } = request.into_inner();
        self.release(&context, ReleaseTicketsCommand::Fence { agent_id: agent_id(&id)?, epoch }).await
    }

    async fn release_lost_agent(
        &self,
        request: Request<wire::ReleaseLostAgentRequest>,
    ) -> Result<Response<wire::ReleasedTickets>, Status> {
        let context = context(&request)?;
        let agent_id = agent_id(&request.get_ref().agent_id)?;
        self.release(&context, ReleaseTicketsCommand::Lost { agent_id }).await
    }

    async fn get_offset(
        &self,
        request: Request<wire::GetOffsetRequest>,
    ) -> Result<Response<wire::Offset>, Status> {
        context(&request)?;
        let agent_id = agent_id(&request.get_ref().agent_id)?;
        let offset = self.tickets.committed(&agent_id).await.map_err(to_status)?;
        Ok(Response::new(wire::Offset { offset }))
    }

    async fn commit_offset(
        &self,
        request: Request<wire::CommitOffsetRequest>,
    ) -> Result<Response<wire::CommitOffsetResponse>, Status> {
        context(&request)?;
        let wire::CommitOffsetRequest { agent_id, offset } = request.into_inner();
        self.tickets.commit(&self::agent_id(&agent_id)?, offset).await.map_err(to_status)?;
        Ok(Response::new(wire::CommitOffsetResponse {}))
    }
}
