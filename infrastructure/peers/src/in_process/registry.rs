//! The registry as orchestration and agents see it.

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::orchestration::{AgentDirectory, AgentNews, AgentQuery};
use hive_application::registry::{
    AgentWatch, DeregisterAgentCommand, DiscoverAgentsCommand, Notification, RecordHeartbeatCommand,
    RegisterAgentCommand, Registration, Registry, RegistryDesk,
};
use hive_domain::ids::AgentId;
use hive_domain::orchestration::generation::GENERATED_BY;
use hive_domain::registry::public::{AgentSnapshot, AgentTelemetry};
use hive_domain::registry::{AnnouncementDraft, Claim};

use crate::discovery;

/// The registry in the same process.
#[derive(Clone, Debug)]
pub struct RegistryPeer {
    registry: Registry,
    context: CallContext,
}

impl RegistryPeer {
    /// Calls `registry`.
    pub fn new(registry: Registry) -> Self {
        RegistryPeer { registry, context: CallContext::internal(GENERATED_BY) }
    }
}

#[async_trait]
impl AgentDirectory for RegistryPeer {
    async fn discover(&self, query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error> {
        let command = DiscoverAgentsCommand {
            capabilities: query.capabilities.clone(),
            filters: discovery::filters(query),
            max_results: i32::try_from(query.max_results).unwrap_or(i32::MAX),
        };
        match self.registry.discover.execute(&self.context, command).await {
            Ok(ranked) => Ok(ranked.into_iter().map(|ranked| ranked.agent).collect()),
            Err(error) => discovery::nobody(error),
        }
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error> {
        let news = self.registry.watch().filter_map(|heard| async move {
            match heard {
                Ok(AgentWatch::Snapshot(agents)) => Some(Ok(AgentNews::Present(agents))),
                Ok(AgentWatch::Changed(change)) => Some(Ok(AgentNews::Changed(change))),
                // A snapshot follows.
                Ok(AgentWatch::Lagged { .. }) => None,
                Err(error) => Some(Err(error)),
            }
        });
        Ok(news.boxed())
    }
}

#[async_trait]
impl RegistryDesk for RegistryPeer {
    async fn register(&self, announcement: AnnouncementDraft, claim: Claim) -> Result<Registration, Error> {
        let command = RegisterAgentCommand { announcement, claim };
        self.registry.register.execute(&CallContext::internal("hive"), command).await
    }

    async fn heartbeat(
        &self,
        agent_id: &AgentId,
        epoch: u64,
        telemetry: AgentTelemetry,
    ) -> Result<Vec<Notification>, Error> {
        let context = CallContext::internal(agent_id.as_str());
        let command = RecordHeartbeatCommand {
            agent_id: agent_id.clone(),
            telemetry: Some(telemetry),
            epoch: Some(epoch),
        };
        Ok(self.registry.heartbeat.execute(&context, &command).await?.notifications)
    }

    async fn deregister(&self, agent_id: &AgentId, epoch: u64) -> Result<bool, Error> {
        let context = CallContext::internal(agent_id.as_str());
        let command = DeregisterAgentCommand { agent_id: agent_id.clone(), epoch: Some(epoch) };
        self.registry.deregister.execute(&context, &command).await
    }
}
