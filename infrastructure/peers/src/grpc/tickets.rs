//! The ticket context as orchestration sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_application::error::Error;
use hive_application::orchestration::TicketGateway;
use hive_domain::ids::{AgentId, PlanId, TicketId};
use hive_domain::orchestration::generation::PlannedTicket;
use hive_domain::tickets::public::{Order, TicketChange, TicketSnapshot, TicketState};
use hive_mapping::status::from_status;
use hive_mapping::{order, ticket};
use hive_proto::grpc::hive::tickets::v1 as wire;
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_client::TicketDispatchClient;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use hive_proto::grpc::neural_hive::execution::{ExecutionTicket, WatchTicketsRequest};
use prost::Message;

use super::call::{Caller, Channel, MAX_MESSAGE};
use super::stream::endless;

/// Tickets of one request at most, and their bytes: well below what a server takes by default.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;

/// The ticket context in another process.
#[derive(Debug, Clone)]
pub struct RemoteTickets<C> {
    caller: Caller<C>,
}

impl<C: Channel> RemoteTickets<C> {
    /// Calls the tickets through `caller`.
    pub fn new(caller: Caller<C>) -> Self {
        RemoteTickets { caller }
    }

    fn dispatch(&self) -> TicketDispatchClient<C> {
        TicketDispatchClient::new(self.caller.calls.clone())
    }
}

/// Requests that each fit into a message. A ticket that is too large for any goes alone and is refused by the server.
fn batches(tickets: Vec<PlannedTicket>) -> Vec<Vec<ExecutionTicket>> {
    let mut batches = vec![Vec::new()];
    let mut room = BATCH_BYTES;
    for planned in tickets {
        let state = TicketState::pending(planned.metadata);
        let message = ticket::ticket(&planned.content, &state, 0);
        let bytes = message.encoded_len();
        let Some(open) = batches.last_mut() else { break };
        if !open.is_empty() && (open.len() == BATCH || bytes > room) {
            batches.push(vec![message]);
            room = BATCH_BYTES;
        } else {
            open.push(message);
        }
        room = room.saturating_sub(bytes);
    }
    batches
}

#[async_trait]
impl<C: Channel> TicketGateway for RemoteTickets<C> {
    async fn create(&self, tickets: Vec<PlannedTicket>) -> Result<(), Error> {
        for (number, tickets) in batches(tickets).into_iter().enumerate() {
            let request = self.caller.request(wire::CreatePlannedTicketsRequest { tickets });
            let created = self.caller.read(self.dispatch().create_planned_tickets(request).await);
            created.map_err(|error| if number == 0 { error } else { error.after_effect() })?;
        }
        Ok(())
    }

    async fn order(&self, ticket_id: &TicketId, order: Order) -> Result<(), Error> {
        let request = self.caller.request(order::request(ticket_id, order));
        self.caller.read(self.dispatch().order_ticket(request).await).map(drop)
    }

    async fn list(&self, plan_id: &PlanId) -> Result<Vec<TicketSnapshot>, Error> {
        let request = self.caller.request(wire::ListPlanTicketsRequest { plan_id: plan_id.to_string() });
        let mut client = TicketDispatchClient::new(self.caller.streams.clone());
        client = client.max_decoding_message_size(MAX_MESSAGE);
        let mut found = self.caller.read(client.list_plan_tickets(request).await)?;
        let mut tickets = Vec::new();
        while let Some(message) =
            found.message().await.map_err(|status| from_status(self.caller.name, status))?
        {
            tickets.push(ticket::snapshot(message)?);
        }
        Ok(tickets)
    }

    async fn watch(
        &self,
        plan_id: &PlanId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
        let request = WatchTicketsRequest { plan_id: plan_id.to_string(), after, ..Default::default() };
        watch(&self.caller, request).await
    }

    async fn fence(&self, agent_id: &AgentId, epoch: u64) -> Result<u64, Error> {
        let request = self.caller.request(wire::FenceAgentRequest { agent_id: agent_id.to_string(), epoch });
        Ok(self.caller.read(self.dispatch().fence_agent(request).await)?.count)
    }

    async fn release_lost(&self, agent_id: &AgentId) -> Result<u64, Error> {
        let request = self.caller.request(wire::ReleaseLostAgentRequest { agent_id: agent_id.to_string() });
        Ok(self.caller.read(self.dispatch().release_lost_agent(request).await)?.count)
    }
}

/// The changes that a request asks for, those to come included.
pub(super) async fn watch<C: Channel>(
    caller: &Caller<C>,
    request: WatchTicketsRequest,
) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error> {
    let mut client = TicketServiceClient::new(caller.streams.clone()).max_decoding_message_size(MAX_MESSAGE);
    let stream = caller.read(client.watch_tickets(request).await)?;
    Ok(endless(caller.name, stream, |event| ticket::change(event).map(Arc::new)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hive_domain::ids::{DecisionId, IntentId, TaskId};
    use hive_domain::tickets::public::{
        Consistency, DeliveryMode, Durability, Priority, Qos, RiskBand, SecurityLevel, Sla, TaskType,
        TicketContent,
    };
    use hive_domain::time::Timestamp;

    use super::*;

    fn planned(number: usize, characters: usize) -> PlannedTicket {
        let plan_id = PlanId::parse("p").unwrap();
        let task_id = TaskId::parse(&format!("t-{number}")).unwrap();
        let content = TicketContent {
            ticket_id: TicketId::for_task(&plan_id, &task_id),
            intent_id: IntentId::parse("i").unwrap(),
            decision_id: DecisionId::for_direct_plan(&plan_id),
            plan_id,
            correlation_id: None,
            trace_id: None,
            span_id: None,
            task_id,
            task_type: TaskType::Build,
            description: "x".repeat(characters),
            dependencies: Vec::new(),
            priority: Priority::Normal,
            risk_band: RiskBand::Low,
            sla: Sla { deadline: Timestamp::from_millis(2), timeout_ms: 1, max_retries: 0 },
            qos: Qos {
                delivery_mode: DeliveryMode::AtLeastOnce,
                consistency: Consistency::Eventual,
                durability: Durability::Persistent,
            },
            parameters: BTreeMap::new(),
            required_capabilities: Vec::new(),
            security_level: SecurityLevel::Internal,
            created_at: Timestamp::from_millis(0),
            estimated_duration_ms: None,
            predictions: None,
            schema_version: 1,
        };
        PlannedTicket { content: Arc::new(content), metadata: BTreeMap::new() }
    }

    fn sizes(tickets: Vec<PlannedTicket>) -> Vec<usize> {
        batches(tickets).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_request_holds_so_many_tickets_and_so_many_bytes() {
        assert_eq!(sizes((0..1_001).map(|number| planned(number, 1)).collect()), [500, 500, 1]);
        let large = BATCH_BYTES / 2;
        assert_eq!(sizes(vec![planned(0, large), planned(1, 1), planned(2, large), planned(3, 1)]), [2, 2]);
        assert_eq!(sizes(vec![planned(0, 2 * BATCH_BYTES), planned(1, 1)]), [1, 1]);
    }
}
