//! `neural_hive.execution.TicketService`.

use async_trait::async_trait;
use hive_application::context::CallContext;
use hive_application::error::{Error, invalid_id};
use hive_application::tickets::{
    AmendTicketCommand, ListTicketsCommand, SubmittedTicket, TOKEN_TYPE, TicketApi, report_text,
};
use hive_domain::ids::AgentId;
use hive_domain::tickets::{Annotation, Report, Ticket};
use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::{self, TicketServiceServer};
use tonic::{Request, Response, Status};

use super::convert::{self, sent};
use super::watch::{EventStream, WatchConfig, Watches};
use super::{count, ticket_id, ticket_status};
use crate::caller::{self, ANONYMOUS};
use crate::status::to_status;

/// The servicer.
#[derive(Debug, Clone)]
pub struct TicketService {
    api: TicketApi,
    watches: Watches,
}

impl TicketService {
    /// Serves `api`.
    pub fn new(api: TicketApi, watch: WatchConfig) -> Self {
        TicketService { api, watches: Watches::new(watch) }
    }

    /// As a tonic service, ready to be mounted.
    pub fn into_server(self) -> TicketServiceServer<Self> {
        TicketServiceServer::new(self)
    }

    async fn update(
        &self,
        mut context: CallContext,
        request: wire::UpdateStatusRequest,
    ) -> Result<Ticket, Error> {
        let agent = agent(&request.agent_id, request.epoch)?;
        if let Some((agent, _)) = agent.as_ref().filter(|_| context.principal == ANONYMOUS) {
            agent.as_str().clone_into(&mut context.principal);
        }
        let report = Report {
            agent,
            error_message: sent(request.error_message).map(report_text),
            retryable: request.retryable,
            actual_duration_ms: request.actual_duration_ms,
        };
        let command = AmendTicketCommand {
            report: Some((ticket_status(&request.status)?, report)),
            ticket_id: ticket_id(&request.ticket_id)?,
            annotation: Annotation { metadata: request.metadata, ..Annotation::default() },
        };
        let (ticket, _) = self.api.tickets.amend.execute(&context, &command).await?;
        Ok(ticket)
    }
}

fn agent(id: &str, epoch: Option<u64>) -> Result<Option<(AgentId, u64)>, Error> {
    match (id, epoch) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(Error::invalid("agent_id", "is required with epoch")),
        (_, None) => Err(Error::invalid("epoch", "is required with agent_id")),
        (id, Some(epoch)) => Ok(Some((AgentId::parse(id).map_err(invalid_id("agent_id"))?, epoch))),
    }
}

fn encode(ticket: &Ticket) -> wire::ExecutionTicket {
    hive_mapping::ticket::ticket(ticket.content(), ticket.state(), ticket.version())
}

fn answer(submitted: &SubmittedTicket) -> wire::TicketResponse {
    wire::TicketResponse {
        ticket_id: submitted.ticket.id().to_string(),
        status: submitted.ticket.status().as_str().to_owned(),
        created: submitted.created,
        ticket: Some(encode(&submitted.ticket)),
    }
}

#[async_trait]
impl ticket_service_server::TicketService for TicketService {
    async fn create_ticket(
        &self,
        request: Request<wire::ExecutionTicket>,
    ) -> Result<Response<wire::TicketResponse>, Status> {
        let context = caller::context(&request);
        let draft = convert::draft("", request.into_inner()).map_err(to_status)?;
        let submitted = self.api.submit.one(&context, &draft).await.map_err(to_status)?;
        Ok(Response::new(answer(&submitted)))
    }

    async fn create_tickets(
        &self,
        request: Request<wire::CreateTicketsRequest>,
    ) -> Result<Response<wire::CreateTicketsResponse>, Status> {
        let context = caller::context(&request);
        let tickets = request.into_inner().tickets.into_iter().enumerate();
        let draft = |(at, ticket)| convert::draft(&format!("tickets[{at}]."), ticket);
        let drafts = tickets.map(draft).collect::<Result<Vec<_>, _>>().map_err(to_status)?;
        let submitted = self.api.submit.execute(&context, &drafts).await.map_err(to_status)?;
        let tickets = submitted.iter().map(answer).collect();
        Ok(Response::new(wire::CreateTicketsResponse { tickets }))
    }

    async fn get_ticket(
        &self,
        request: Request<wire::GetTicketRequest>,
    ) -> Result<Response<wire::ExecutionTicket>, Status> {
        let context = caller::context(&request);
        let id = ticket_id(&request.get_ref().ticket_id).map_err(to_status)?;
        context.may_read(&id).map_err(to_status)?;
        let ticket = self.api.tickets.get(&id).await.map_err(to_status)?;
        Ok(Response::new(encode(&ticket)))
    }

    async fn list_tickets(
        &self,
        request: Request<wire::ListTicketsRequest>,
    ) -> Result<Response<wire::TicketList>, Status> {
        caller::service(&request)?;
        let request = request.into_inner();
        let command = ListTicketsCommand {
            plan_id: request.plan_id,
            intent_id: request.intent_id,
            status: request.status,
            priority: request.priority,
            assigned_worker: request.assigned_worker,
            offset: request.offset.into(),
            limit: request.limit.into(),
            page_token: request.page_token,
        };
        let listing = self.api.list.execute(&command).await.map_err(to_status)?;
        Ok(Response::new(wire::TicketList {
            tickets: listing.tickets.iter().map(encode).collect(),
            total: count(listing.total),
            next_page_token: listing.next_page_token.unwrap_or_default(),
        }))
    }

    async fn update_ticket_status(
        &self,
        request: Request<wire::UpdateStatusRequest>,
    ) -> Result<Response<wire::ExecutionTicket>, Status> {
        let context = caller::context(&request);
        let ticket = self.update(context, request.into_inner()).await.map_err(to_status)?;
        Ok(Response::new(encode(&ticket)))
    }

    async fn generate_token(
        &self,
        request: Request<wire::TokenRequest>,
    ) -> Result<Response<wire::TokenResponse>, Status> {
        let context = caller::context(&request);
        let id = ticket_id(&request.get_ref().ticket_id).map_err(to_status)?;
        let issued = self.api.token.execute(&context, &id).await.map_err(to_status)?;
        Ok(Response::new(wire::TokenResponse {
            token: issued.token,
            expires_at: issued.expires_at,
            token_type: TOKEN_TYPE.to_owned(),
            expires_in: issued.expires_in,
            ticket_id: issued.ticket_id.to_string(),
            scopes: issued.scopes,
        }))
    }

    type WatchTicketsStream = EventStream;

    async fn watch_tickets(
        &self,
        request: Request<wire::WatchTicketsRequest>,
    ) -> Result<Response<EventStream>, Status> {
        caller::service(&request)?;
        let stream = self.watches.open(&self.api, request.get_ref()).map_err(to_status)?;
        Ok(Response::new(stream))
    }
}
