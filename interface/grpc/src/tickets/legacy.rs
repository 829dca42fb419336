//! `ticket_service.TicketService`, as clients of before know it.
//!
//! They know six statuses: CANCELLED and PREEMPTED are shown as FAILED, with the word in the error text.

use async_trait::async_trait;
use hive_application::tickets::{ChangeTicketStatusCommand, ListTicketsCommand, TicketApi, report_text};
use hive_domain::tickets::public::TicketStatus;
use hive_domain::tickets::{Report, Ticket};
use hive_proto::grpc::neural_hive::execution;
use hive_proto::grpc::ticket_service as wire;
use hive_proto::grpc::ticket_service::ticket_service_server::{self, TicketServiceServer};
use tonic::{Request, Response, Status};

use super::convert::{self, sent};
use super::{count, ticket_id, ticket_status};
use crate::caller;
use crate::status::to_status;

/// The servicer.
#[derive(Debug, Clone)]
pub struct LegacyTicketService {
    api: TicketApi,
}

impl LegacyTicketService {
    /// Serves `api`.
    pub fn new(api: TicketApi) -> Self {
        LegacyTicketService { api }
    }

    /// As a tonic service, ready to be mounted.
    pub fn into_server(self) -> TicketServiceServer<Self> {
        TicketServiceServer::new(self)
    }
}

fn encode(ticket: &Ticket) -> wire::ExecutionTicketProto {
    shown(hive_mapping::ticket::ticket(ticket.content(), ticket.state(), ticket.version()))
}

fn shown(ticket: execution::ExecutionTicket) -> wire::ExecutionTicketProto {
    let (status, error_message) = known_status(ticket.status, ticket.error_message);
    wire::ExecutionTicketProto {
        ticket_id: ticket.ticket_id,
        plan_id: ticket.plan_id,
        intent_id: ticket.intent_id,
        task_id: ticket.task_id,
        task_type: ticket.task_type,
        description: ticket.description.unwrap_or_default(),
        status,
        priority: ticket.priority,
        created_at: ticket.created_at.unwrap_or_default(),
        decision_id: ticket.decision_id,
        correlation_id: ticket.correlation_id,
        trace_id: ticket.trace_id,
        span_id: ticket.span_id,
        dependencies: ticket.dependencies,
        risk_band: ticket.risk_band,
        sla: ticket.sla,
        qos: ticket.qos,
        parameters: ticket.parameters,
        required_capabilities: ticket.required_capabilities,
        security_level: ticket.security_level,
        started_at: ticket.started_at,
        completed_at: ticket.completed_at,
        estimated_duration_ms: ticket.estimated_duration_ms,
        actual_duration_ms: ticket.actual_duration_ms,
        retry_count: ticket.retry_count,
        error_message,
        compensation_ticket_id: ticket.compensation_ticket_id,
        metadata: ticket.metadata,
        predictions: ticket.predictions,
        schema_version: ticket.schema_version,
        assigned_worker: ticket.assigned_worker,
    }
}

fn known_status(status: String, error: Option<String>) -> (String, Option<String>) {
    let newer = [TicketStatus::Cancelled, TicketStatus::Preempted].iter().any(|new| new.as_str() == status);
    if !newer {
        return (status, error);
    }
    let text = match error {
        Some(error) => format!("{status}: {error}"),
        None => status,
    };
    (TicketStatus::Failed.as_str().to_owned(), Some(text))
}

/// What such a client sends, as one of today would. Its texts and numbers have no presence: empty means not sent.
fn read(ticket: wire::ExecutionTicketProto) -> execution::ExecutionTicket {
    execution::ExecutionTicket {
        ticket_id: ticket.ticket_id,
        plan_id: ticket.plan_id,
        intent_id: ticket.intent_id,
        task_id: ticket.task_id,
        task_type: ticket.task_type,
        description: sent(ticket.description),
        status: ticket.status,
        priority: ticket.priority,
        created_at: Some(ticket.created_at).filter(|millis| *millis != 0),
        decision_id: ticket.decision_id,
        correlation_id: ticket.correlation_id,
        trace_id: ticket.trace_id,
        span_id: ticket.span_id,
        dependencies: ticket.dependencies,
        risk_band: ticket.risk_band,
        sla: ticket.sla,
        qos: ticket.qos,
        parameters: ticket.parameters,
        required_capabilities: ticket.required_capabilities,
        security_level: ticket.security_level,
        started_at: ticket.started_at,
        completed_at: ticket.completed_at,
        estimated_duration_ms: ticket.estimated_duration_ms,
        actual_duration_ms: ticket.actual_duration_ms,
        retry_count: ticket.retry_count,
        error_message: ticket.error_message,
        compensation_ticket_id: ticket.compensation_ticket_id,
        metadata: ticket.metadata,
        predictions: ticket.predictions,
        schema_version: ticket.schema_version,
        assigned_worker: ticket.assigned_worker,
        ..execution::ExecutionTicket::default()
    }
}

#[async_trait]
impl ticket_service_server::TicketService for LegacyTicketService {
    async fn get_ticket(
        &self,
        request: Request<wire::GetTicketRequest>,
    ) -> Result<Response<wire::GetTicketResponse>, Status> {
        let context = caller::context(&request);
        let id = ticket_id(&request.get_ref().ticket_id).map_err(to_status)?;
        context.may_read(&id).map_err(to_status)?;
        let ticket = self.api.tickets.get(&id).await.map_err(to_status)?;
        Ok(Response::new(wire::GetTicketResponse { ticket: Some(encode(&ticket)) }))
    }

    async fn list_tickets(
        &self,
        request: Request<wire::ListTicketsRequest>,
    ) -> Result<Response<wire::ListTicketsResponse>, Status> {
        caller::service(&request)?;
        let request = request.into_inner();
        let command = ListTicketsCommand {
            plan_id: request.plan_id,
            status: request.status,
            offset: request.offset.into(),
            limit: request.limit.into(),
            ..ListTicketsCommand::default()
        };
        let listing = self.api.list.execute(&command).await.map_err(to_status)?;
        let tickets = listing.tickets.iter().map(encode).collect();
        Ok(Response::new(wire::ListTicketsResponse { tickets, total: count(listing.total) }))
    }

    async fn update_ticket_status(
        &self,
        request: Request<wire::UpdateTicketStatusRequest>,
    ) -> Result<Response<wire::UpdateTicketStatusResponse>, Status> {
        let context = caller::context(&request);
        let request = request.into_inner();
        let error_message = sent(request.error_message).map(report_text);
        let command = ChangeTicketStatusCommand {
            status: ticket_status(&request.status).map_err(to_status)?,
            ticket_id: ticket_id(&request.ticket_id).map_err(to_status)?,
            report: Report { error_message, ..Report::default() },
        };
        let change = self.api.tickets.change_status.execute(&context, &command);
        let (ticket, _) = change.await.map_err(to_status)?;
        Ok(Response::new(wire::UpdateTicketStatusResponse { ticket: Some(encode(&ticket)) }))
    }

    async fn generate_token(
        &self,
        request: Request<wire::GenerateTokenRequest>,
    ) -> Result<Response<wire::GenerateTokenResponse>, Status> {
        let context = caller::context(&request);
        let id = ticket_id(&request.get_ref().ticket_id).map_err(to_status)?;
        let issued = self.api.token.execute(&context, &id).await.map_err(to_status)?;
        Ok(Response::new(wire::GenerateTokenResponse {
            access_token: issued.token,
            expires_at: issued.expires_at,
        }))
    }

    async fn create_ticket(
        &self,
        request: Request<wire::CreateTicketRequest>,
    ) -> Result<Response<wire::CreateTicketResponse>, Status> {
        let context = caller::context(&request);
        let ticket = request.into_inner().ticket.unwrap_or_default();
        let draft = convert::draft("", read(ticket)).map_err(to_status)?;
        let submitted = self.api.submit.one(&context, &draft).await.map_err(to_status)?;
        Ok(Response::new(wire::CreateTicketResponse { ticket: Some(encode(&submitted.ticket)) }))
    }
}
