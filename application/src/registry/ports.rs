//! What the registry use cases need from storage.

use async_trait::async_trait;
use hive_domain::ids::AgentId;
use hive_domain::registry::{
    Agent, AgentFilter, AgentTelemetry, AgentType, AnnouncementDraft, Claim, RegistryError,
};
use hive_domain::time::Timestamp;

use super::{Notification, Registration};
use crate::error::Error;

/// A decision about the agent of one id, `None` when no record of it exists. May be asked again on another version.
pub type Change<'a> = dyn FnMut(Option<Agent>) -> Result<Agent, RegistryError> + Send + 'a;

/// Storage of agents. A record stays after its agent retired, until it is forgotten: it carries the epoch on.
#[async_trait]
pub trait AgentRepository: Send + Sync {
    /// The record of the agent, retired or not, if there is one.
    async fn find(&self, id: &AgentId) -> Result<Option<Agent>, Error>;

    /// The agents that are not retired and match, by id, at most `limit`.
    async fn list(&self, query: &AgentListQuery) -> Result<Vec<Agent>, Error>;

    /// Lets `change` decide on the newest version and saves the outcome, unless its revision is the one that was read.
    /// Another writer in between costs another decision. The agent handed back is the one `change` made, its untaken
    /// changes with it.
    async fn update(&self, id: &AgentId, change: &mut Change<'_>) -> Result<Agent, Error>;

    /// Deletes records of agents that retired before `retired_before`, at most `limit`, and tells how many.
    async fn forget(&self, retired_before: Timestamp, limit: usize) -> Result<u64, Error>;
}

/// Which agents to list: what storage can tell without judging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentListQuery {
    /// Of this type.
    pub agent_type: Option<AgentType>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Last heard from before this.
    pub last_seen_before: Option<Timestamp>,
    /// Whose id sorts (by bytes) after this one.
    pub after: Option<AgentId>,
    /// Agents to return at most.
    pub limit: usize,
}

impl AgentListQuery {
    /// The first page of what `filter` may admit.
    pub(super) fn for_filter(filter: &AgentFilter) -> Self {
        AgentListQuery {
            agent_type: filter.agent_type,
            namespace: filter.namespace.clone(),
            last_seen_before: None,
            after: None,
            limit: super::Registry::MAX_PAGE,
        }
    }
}

/// The registry, seen from an agent.
#[async_trait]
pub trait RegistryDesk: Send + Sync {
    /// Registers an agent, or its next incarnation. A registry in another process takes nobody's word for being the host.
    async fn register(&self, announcement: AnnouncementDraft, claim: Claim) -> Result<Registration, Error>;

    /// Tells that the incarnation `epoch` of the agent lives, and its figures. What others want it to know.
    async fn heartbeat(
        &self,
        agent_id: &AgentId,
        epoch: u64,
        telemetry: AgentTelemetry,
    ) -> Result<Vec<Notification>, Error>;

    /// Ends the registration of the incarnation `epoch`. Whether there was one.
    async fn deregister(&self, agent_id: &AgentId, epoch: u64) -> Result<bool, Error>;
}
