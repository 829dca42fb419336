//! The registry as orchestration and agents see it.

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use hive_application::error::Error;
use hive_application::orchestration::{AgentDirectory, AgentNews, AgentQuery};
use hive_application::registry::{Notification, Registration, RegistryDesk};
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentSnapshot, AgentTelemetry};
use hive_domain::registry::{AnnouncementDraft, Claim};
use hive_mapping::agent;
use hive_proto::grpc::neural_hive::service_registry as wire;
use wire::agent_change_event::EventType;
use wire::service_registry_client::ServiceRegistryClient;

use super::call::{Caller, Channel, MAX_MESSAGE};
use super::stream::endless;
use crate::discovery;

/// The registry in another process.
#[derive(Debug, Clone)]
pub struct RemoteRegistry<C> {
    caller: Caller<C>,
}

impl<C: Channel> RemoteRegistry<C> {
    /// Calls the registry through `caller`.
    pub fn new(caller: Caller<C>) -> Self {
        RemoteRegistry { caller }
    }

    fn registry(&self) -> ServiceRegistryClient<C> {
        ServiceRegistryClient::new(self.caller.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }
}

#[async_trait]
impl<C: Channel> AgentDirectory for RemoteRegistry<C> {
    async fn discover(&self, query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error> {
        let request = self.caller.request(wire::DiscoverRequest {
            capabilities: query.capabilities.clone(),
            filters: discovery::filters(query),
            max_results: i32::try_from(query.max_results).unwrap_or(i32::MAX),
        });
        match self.caller.read(self.registry().discover_agents(request).await) {
            Ok(found) => found.agents.into_iter().map(agent::snapshot).collect(),
            Err(error) => discovery::nobody(error),
        }
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error> {
        let request = wire::WatchAgentsRequest { with_snapshots: true, ..Default::default() };
        let mut client = ServiceRegistryClient::new(self.caller.streams.clone());
        client = client.max_decoding_message_size(MAX_MESSAGE);
        let stream = self.caller.read(client.watch_agents(request).await)?;
        let mut present = Vec::new();
        let news = endless(self.caller.name, stream, move |event| heard(&mut present, event));
        Ok(news.filter_map(|heard| async move { heard.transpose() }).boxed())
    }
}

/// What an event says; none for a part of a snapshot that goes on.
fn heard(
    present: &mut Vec<AgentSnapshot>,
    event: wire::AgentChangeEvent,
) -> Result<Option<AgentNews>, Error> {
    if event.event_type() != EventType::Snapshot {
        return agent::change(event).map(AgentNews::Changed).map(Some);
    }
    for known in event.agents {
        present.push(agent::snapshot(known)?);
    }
    Ok((!event.more).then(|| AgentNews::Present(std::mem::take(present))))
}

#[async_trait]
impl<C: Channel> RegistryDesk for RemoteRegistry<C> {
    async fn register(&self, announcement: AnnouncementDraft, claim: Claim) -> Result<Registration, Error> {
        let mut request = self.caller.request(agent::register(announcement));
        if let Claim::Token(token) = claim {
            let token =
                token.reveal().parse().map_err(|_| Error::invalid("token", "is no text of a header"))?;
            request.metadata_mut().insert(agent::REGISTRATION_TOKEN, token);
        }
        agent::registration(self.caller.read(self.registry().register(request).await)?)
    }

    async fn heartbeat(
        &self,
        agent_id: &AgentId,
        epoch: u64,
        telemetry: AgentTelemetry,
    ) -> Result<Vec<Notification>, Error> {
        let request = self.caller.request(wire::HeartbeatRequest {
            agent_id: agent_id.to_string(),
            telemetry: Some(agent::figures(telemetry)),
            epoch: Some(epoch),
        });
        let heard = self.caller.read(self.registry().heartbeat(request).await)?;
        Ok(heard.notifications.into_iter().map(agent::notification).collect())
    }

    async fn deregister(&self, agent_id: &AgentId, epoch: u64) -> Result<bool, Error> {
        let agent_id = agent_id.to_string();
        let request = self.caller.request(wire::DeregisterRequest { agent_id, epoch: Some(epoch) });
        Ok(self.caller.read(self.registry().deregister(request).await)?.success)
    }
}
