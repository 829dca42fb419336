//! The servicer of the registry.

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_application::context::CallContext;
use hive_application::error::{Error, ErrorKind};
use hive_application::registry::{
    DeregisterAgentCommand, DiscoverAgentsCommand, NotifyAgentCommand, RecordHeartbeatCommand,
    RegisterAgentCommand, Registry,
};
use hive_domain::registry::{Claim, RegistrationToken};
use hive_mapping::agent;
use hive_proto::grpc::neural_hive::service_registry as wire;
use tonic::{Request, Response, Status};
use wire::service_registry_server::ServiceRegistry;

use super::convert;
use super::events::Events;
use crate::caller::{context, service};
use crate::status::to_status;

/// Agents one answer lists at most: the contract has no pages.
const MAX_LISTED: usize = 10_000;

/// Answers for the registry.
#[derive(Clone, Debug)]
pub struct RegistryService {
    registry: Registry,
}

impl RegistryService {
    /// Answers for `registry`.
    pub fn new(registry: Registry) -> Self {
        RegistryService { registry }
    }

    async fn search(
        &self,
        context: &CallContext,
        command: DiscoverAgentsCommand,
    ) -> Result<Response<wire::DiscoverResponse>, Status> {
        let ranked = self.registry.discover.execute(context, command).await.map_err(to_status)?;
        let agents = ranked.iter().map(|ranked| agent::info(&ranked.agent)).collect();
        Ok(Response::new(wire::DiscoverResponse { agents, ranked: true }))
    }
}

fn claim<T>(request: &Request<T>) -> Claim {
    let token = request.metadata().get(agent::REGISTRATION_TOKEN).and_then(|value| value.to_str().ok());
    token.map_or(Claim::None, |token| Claim::Token(RegistrationToken::new(token)))
}

#[tonic::async_trait]
impl ServiceRegistry for RegistryService {
    async fn register(
        &self,
        request: Request<wire::RegisterRequest>,
    ) -> Result<Response<wire::RegisterResponse>, Status> {
        let (context, claim) = (context(&request), claim(&request));
        let announcement = agent::announcement(request.into_inner()).map_err(to_status)?;
        let command = RegisterAgentCommand { announcement, claim };
        let made = self.registry.register.execute(&context, command).await.map_err(to_status)?;
        Ok(Response::new(agent::registered(&made)))
    }

    async fn heartbeat(
        &self,
        request: Request<wire::HeartbeatRequest>,
    ) -> Result<Response<wire::HeartbeatResponse>, Status> {
        let context = context(&request);
        let request = request.into_inner();
        let command = RecordHeartbeatCommand {
            agent_id: convert::agent_id(&request.agent_id)?,
            telemetry: request.telemetry.map(agent::telemetry),
            epoch: request.epoch,
        };
        let heard = self.registry.heartbeat.execute(&context, &command).await;
        let heard = heard.map_err(convert::agent_error(&command.agent_id))?;
        let last_seen = agent::seconds(heard.last_seen);
        let notifications = heard.notifications.into_iter().map(agent::told).collect();
        Ok(Response::new(wire::HeartbeatResponse { status: heard.status.number(), last_seen, notifications }))
    }

    async fn deregister(
        &self,
        request: Request<wire::DeregisterRequest>,
    ) -> Result<Response<wire::DeregisterResponse>, Status> {
        let context = context(&request);
        let wire::DeregisterRequest { agent_id, epoch } = request.into_inner();
        let command = DeregisterAgentCommand { agent_id: convert::agent_id(&agent_id)?, epoch };
        let success = self.registry.deregister.execute(&context, &command).await.map_err(to_status)?;
        Ok(Response::new(wire::DeregisterResponse { success }))
    }

    async fn discover_agents(
        &self,
        request: Request<wire::DiscoverRequest>,
    ) -> Result<Response<wire::DiscoverResponse>, Status> {
        let context = context(&request);
        let wire::DiscoverRequest { capabilities, filters, max_results } = request.into_inner();
        self.search(&context, DiscoverAgentsCommand { capabilities, filters, max_results }).await
    }

    async fn discover_workers(
        &self,
        request: Request<wire::DiscoverRequest>,
    ) -> Result<Response<wire::DiscoverResponse>, Status> {
        let context = context(&request);
        let wire::DiscoverRequest { capabilities, filters, max_results } = request.into_inner();
        let filters = convert::workers_only(filters)?;
        self.search(&context, DiscoverAgentsCommand { capabilities, filters, max_results }).await
    }

    async fn get_agent(
        &self,
        request: Request<wire::GetAgentRequest>,
    ) -> Result<Response<wire::GetAgentResponse>, Status> {
        service(&request)?;
        let agent_id = convert::agent_id(&request.get_ref().agent_id)?;
        let known = self.registry.get(&agent_id).await.map_err(convert::agent_error(&agent_id))?;
        Ok(Response::new(wire::GetAgentResponse { agent: Some(agent::info(&known)) }))
    }

    async fn list_agents(
        &self,
        request: Request<wire::ListAgentsRequest>,
    ) -> Result<Response<wire::ListAgentsResponse>, Status> {
        service(&request)?;
        let wire::ListAgentsRequest { agent_type, filters } = request.into_inner();
        let filter = convert::filter(convert::agent_type(agent_type)?, &filters)?;
        let mut agents = Vec::new();
        let mut after = None;
        loop {
            let page = self.registry.list(&filter, after).await.map_err(to_status)?;
            agents.extend(page.agents.iter().map(agent::info));
            if agents.len() > MAX_LISTED {
                let message = format!("more than {MAX_LISTED} agents match; narrow the filters");
                return Err(to_status(Error::new(ErrorKind::ResourceExhausted, "TOO_MANY_AGENTS", message)));
            }
            after = page.next;
            if after.is_none() {
                return Ok(Response::new(wire::ListAgentsResponse { agents }));
            }
        }
    }

    type WatchAgentsStream = BoxStream<'static, Result<wire::AgentChangeEvent, Status>>;

    async fn watch_agents(
        &self,
        request: Request<wire::WatchAgentsRequest>,
    ) -> Result<Response<Self::WatchAgentsStream>, Status> {
        service(&request)?;
        let wire::WatchAgentsRequest { agent_type, with_snapshots } = request.into_inner();
        let mut events = Events::new(convert::agent_type(agent_type)?, with_snapshots);
        let answers = self.registry.watch().flat_map(move |heard| {
            let answers = match heard {
                Ok(heard) => events.of(heard).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(to_status(error))],
            };
            stream::iter(answers)
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn notify_agent(
        &self,
        request: Request<wire::NotifyAgentRequest>,
    ) -> Result<Response<wire::NotifyAgentResponse>, Status> {
        let context = context(&request);
        let wire::NotifyAgentRequest { agent_id, notification_type, message, metadata } =
            request.into_inner();
        let agent_id = convert::agent_id(&agent_id)?;
        let unknown = convert::agent_error(&agent_id);
        let command =
            NotifyAgentCommand { agent_id: agent_id.clone(), kind: notification_type, message, metadata };
        let success = self.registry.notify.execute(&context, command).await.map_err(unknown)?;
        let error = if success { "" } else { "not delivered: the agent is silent" }.to_owned();
        Ok(Response::new(wire::NotifyAgentResponse { success, error }))
    }
}
