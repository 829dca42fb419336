//! Lets an agent go.

use hive_domain::ids::AgentId;
use hive_domain::registry::{Agent, RegistryError};

use super::AgentWriter;
use super::observer::Operation;
use crate::context::CallContext;
use crate::error::{Error, ErrorKind};

/// A goodbye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeregisterAgentCommand {
    /// Of which agent.
    pub agent_id: AgentId,
    /// Its incarnation; `None` where the protocol does not carry one.
    pub epoch: Option<u64>,
}

/// Lets agents go.
#[derive(Clone)]
pub struct DeregisterAgent {
    writer: AgentWriter,
}

impl DeregisterAgent {
    pub(super) fn new(writer: AgentWriter) -> Self {
        DeregisterAgent { writer }
    }

    /// Ends the registration and tells whether there was one. `FailedPrecondition` (`STALE_EPOCH`) when a newer
    /// incarnation has it.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &DeregisterAgentCommand,
    ) -> Result<bool, Error> {
        context.must_be_service()?;
        let DeregisterAgentCommand { agent_id, epoch } = command;
        let now = self.writer.clock.now();
        let mut change = |known: Option<Agent>| {
            let mut agent = known.ok_or_else(|| RegistryError::NotFound { agent: agent_id.clone() })?;
            agent.retire(*epoch, now)?;
            Ok(agent)
        };
        match self.writer.answer(Operation::Deregister, agent_id, &mut change).await {
            Ok(agent) => {
                let epoch = agent.epoch;
                tracing::info!(%agent_id, epoch, caller = %context.principal, "agent {agent_id} deregistered");
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for DeregisterAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeregisterAgent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, draft, id, now_or_never};
    use super::*;

    #[test]
    fn a_goodbye_counts_once_and_the_epoch_goes_on() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        let goodbye = |epoch| {
            let command = DeregisterAgentCommand { agent_id: id("w-1"), epoch };
            now_or_never(fixture.registry.deregister.execute(&fixture.context, &command))
        };
        assert_eq!(goodbye(Some(9)).unwrap_err().reason(), "STALE_EPOCH");
        assert!(goodbye(Some(1)).unwrap());
        assert!(!goodbye(None).unwrap());
        assert_eq!(now_or_never(fixture.registry.get(&id("w-1"))).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fixture.register(draft("w-1")).epoch, 2, "the id is free, its epochs are not");
    }
}
