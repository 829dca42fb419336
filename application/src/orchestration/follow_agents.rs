//! Reacts to agents that come and go: their old incarnations are fenced, what they leave behind is returned to the queue.

use std::sync::Arc;

use futures_util::stream::StreamExt;
use hive_domain::registry::public::{AgentChangeKind, AgentSnapshot};

use super::Dependencies;
use super::agent_pool::AgentPool;
use super::ports::{AgentDirectory, AgentNews, TicketGateway};
use crate::error::Error;

/// Follows the registry.
#[derive(Clone)]
pub struct FollowAgents {
    directory: Arc<dyn AgentDirectory>,
    tickets: Arc<dyn TicketGateway>,
    pool: Arc<AgentPool>,
}

impl FollowAgents {
    pub(super) fn new(dependencies: &Dependencies, pool: Arc<AgentPool>) -> Self {
        FollowAgents {
            directory: Arc::clone(&dependencies.agents),
            tickets: Arc::clone(&dependencies.tickets),
            pool,
        }
    }

    /// Reacts until the registry cannot be followed any more; the caller begins anew then.
    pub async fn execute(&self) -> Result<(), Error> {
        let mut news = self.directory.watch().await?;
        while let Some(heard) = news.next().await {
            match heard? {
                AgentNews::Present(agents) => {
                    self.pool.agents_changed();
                    for agent in &agents {
                        // Whoever followed before may have died between hearing of a loss and acting on it.
                        if agent.is_expired {
                            self.release_lost(agent).await?;
                        } else {
                            self.fence(agent).await?;
                        }
                    }
                }
                AgentNews::Changed(change) => match change.kind {
                    AgentChangeKind::Registered => {
                        self.pool.agents_changed();
                        self.fence(&change.agent).await?;
                    }
                    AgentChangeKind::Expired | AgentChangeKind::Deregistered => {
                        // First, so that nothing more is handed to it.
                        self.pool.agents_changed();
                        self.release_lost(&change.agent).await?;
                    }
                    AgentChangeKind::StatusChanged => self.pool.agents_changed(),
                    AgentChangeKind::Updated => {}
                },
            }
        }
        Ok(())
    }

    async fn release_lost(&self, agent: &AgentSnapshot) -> Result<(), Error> {
        let agent_id = &agent.agent_id;
        let released = self.tickets.release_lost(agent_id).await?;
        tracing::warn!(agent.id = %agent_id, released, "agent {agent_id} is gone; its tickets return to the queue");
        Ok(())
    }

    async fn fence(&self, agent: &AgentSnapshot) -> Result<(), Error> {
        let released = self.tickets.fence(&agent.agent_id, agent.epoch).await?;
        if released > 0 {
            let agent_id = &agent.agent_id;
            tracing::info!(agent.id = %agent_id, released, "agent {agent_id} is back; its tickets return to the queue");
        }
        Ok(())
    }
}

impl std::fmt::Debug for FollowAgents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowAgents").finish_non_exhaustive()
    }
}
