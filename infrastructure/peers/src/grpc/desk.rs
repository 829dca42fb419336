//! The ticket context as an agent sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::error::Error;
use hive_application::tickets::TicketDesk;
use hive_domain::ids::{AgentId, TicketId};
use hive_domain::tickets::public::{Report, TicketChange, TicketSnapshot, TicketStatus};
use hive_mapping::ticket;
use hive_proto::grpc::hive::tickets::v1 as dispatch;
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_client::TicketDispatchClient;
use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;

use super::call::{Caller, Channel, MAX_MESSAGE};
use super::tickets::watch;

/// The ticket context in another process.
#[derive(Debug, Clone)]
pub struct RemoteDesk<C> {
    caller: Caller<C>,
}

impl<C: Channel> RemoteDesk<C> {
    /// Calls the tickets through `caller`.
    pub fn new(caller: Caller<C>) -> Self {
        RemoteDesk { caller }
    }

    fn tickets(&self) -> TicketServiceClient<C> {
        TicketServiceClient::new(self.caller.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    fn dispatch(&self) -> TicketDispatchClient<C> {
        TicketDispatchClient::new(self.caller.calls.clone())
    }
}

#[async_trait]
impl<C: Channel> TicketDesk for RemoteDesk<C> {
    async fn watch(
        &self,
        agent_id: &AgentId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let agent_id = agent_id.to_string();
        watch(&self.caller, wire::WatchTicketsRequest { agent_id, after, ..Default::default() }).await
    }

    async fn report(
        &self,
        ticket_id: &TicketId,
        status: TicketStatus,
        report: Report,
    ) -> Result<TicketSnapshot, Error> {
        let (agent_id, epoch) = report.agent.unzip();
        let request = self.caller.request(wire::UpdateStatusRequest {
            ticket_id: ticket_id.to_string(),
            status: status.as_str().to_owned(),
            error_message: report.error_message.unwrap_or_default(),
            agent_id: agent_id.as_ref().map(AgentId::to_string).unwrap_or_default(),
            epoch,
            retryable: report.retryable,
            actual_duration_ms: report.actual_duration_ms,
            ..Default::default()
        });
        ticket::snapshot(self.caller.read(self.tickets().update_ticket_status(request).await)?)
    }

    async fn held(&self, agent_id: &AgentId) -> Result<Vec<TicketId>, Error> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = self.caller.request(wire::ListTicketsRequest {
                assigned_worker: agent_id.to_string(),
                status: TicketStatus::Running.as_str().to_owned(),
                page_token,
                ..Default::default()
            });
            let page = self.caller.read(self.tickets().list_tickets(request).await)?;
            for message in page.tickets {
                found.push(ticket::snapshot(message)?.content.ticket_id.clone());
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
    }

    async fn committed(&self, agent_id: &AgentId) -> Result<u64, Error> {
        let request = self.caller.request(dispatch::GetOffsetRequest { agent_id: agent_id.to_string() });
        Ok(self.caller.read(self.dispatch().get_offset(request).await)?.offset)
    }

    async fn commit(&self, agent_id: &AgentId, offset: u64) -> Result<(), Error> {
        let agent_id = agent_id.to_string();
        let request = self.caller.request(dispatch::CommitOffsetRequest { agent_id, offset });
        self.caller.read(self.dispatch().commit_offset(request).await).map(drop)
    }
}
