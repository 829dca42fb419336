//! The registry as orchestration and agents see it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::orchestration::{AgentDirectory, AgentNews, AgentQuery};
use hive_application::registry::{
    AgentWatch, DiscoverAgentsCommand, RecordHeartbeatCommand, Registry, RegistryDesk,
};
use hive_domain::ids::AgentId;
use hive_domain::orchestration::generation::GENERATED_BY;
use hive_domain::registry::public::{AgentSnapshot, AgentTelemetry};

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
        let mut filters = BTreeMap::from([
            ("agent_type".to_owned(), "WORKER".to_owned()),
            ("status".to_owned(), "HEALTHY".to_owned()),
        ]);
        filters.extend(query.namespace.iter().map(|namespace| ("namespace".to_owned(), namespace.clone())));
        let command = DiscoverAgentsCommand {
            capabilities: query.capabilities.clone(),
            filters,
            max_results: i32::try_from(query.max_results).unwrap_or(i32::MAX),
        };
        match self.registry.discover.execute(&self.context, command).await {
            Ok(ranked) => Ok(ranked.into_iter().map(|ranked| ranked.agent).collect()),
            // A capability that no agent may announce is one that no agent has.
            Err(error) if error.field().is_some_and(|field| field.starts_with("capabilities")) => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
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
    async fn heartbeat(
        &self,
        agent_id: &AgentId,
        epoch: u64,
        telemetry: AgentTelemetry,
    ) -> Result<(), Error> {
        let context = CallContext::internal(agent_id.as_str());
        let command = RecordHeartbeatCommand {
            agent_id: agent_id.clone(),
            telemetry: Some(telemetry),
            epoch: Some(epoch),
        };
        self.registry.heartbeat.execute(&context, &command).await?;
        Ok(())
    }
}
