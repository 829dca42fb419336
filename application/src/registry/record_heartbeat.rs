//! Takes a sign of life.

use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentStatus, AgentTelemetry};
use hive_domain::registry::{Agent, RegistryError};
use hive_domain::time::Timestamp;

use super::AgentWriter;
use super::notify_agent::Notification;
use super::observer::Operation;
use crate::context::CallContext;
use crate::error::Error;

/// A sign of life.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordHeartbeatCommand {
    /// Of which agent.
    pub agent_id: AgentId,
    /// Its figures; without them the last ones stay.
    pub telemetry: Option<AgentTelemetry>,
    /// Its incarnation; `None` where the protocol does not carry one.
    pub epoch: Option<u64>,
}

/// What the agent learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// How the registry sees it.
    pub status: AgentStatus,
    /// When it was heard.
    pub last_seen: Timestamp,
    /// What others want it to know, oldest first. Nobody is told it again.
    pub notifications: Vec<Notification>,
}

/// Takes signs of life.
#[derive(Clone)]
pub struct RecordHeartbeat {
    writer: AgentWriter,
}

impl RecordHeartbeat {
    pub(super) fn new(writer: AgentWriter) -> Self {
        RecordHeartbeat { writer }
    }

    /// Records it. `NotFound` tells the agent to register again; `FailedPrecondition` (`STALE_EPOCH`) that it was
    /// replaced.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: &RecordHeartbeatCommand,
    ) -> Result<Heartbeat, Error> {
        context.must_be_service()?;
        let RecordHeartbeatCommand { agent_id, telemetry, epoch } = command;
        let now = self.writer.clock.now();
        let mut change = |known: Option<Agent>| {
            let mut agent = known.ok_or_else(|| RegistryError::NotFound { agent: agent_id.clone() })?;
            agent.heartbeat(*telemetry, *epoch, now)?;
            Ok(agent)
        };
        let agent = self.writer.answer(Operation::Heartbeat, agent_id, &mut change).await?;
        tracing::trace!(%agent_id, status = %agent.status, caller = %context.principal, "heartbeat of {agent_id}");
        let notifications = self.writer.mailboxes.take(agent_id);
        Ok(Heartbeat { status: agent.status, last_seen: agent.last_seen, notifications })
    }
}

impl std::fmt::Debug for RecordHeartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordHeartbeat").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, draft, id, now_or_never};
    use super::*;
    use crate::error::ErrorKind;

    fn beat(fixture: &Fixture, agent: &str, epoch: Option<u64>) -> Result<Heartbeat, Error> {
        let command = RecordHeartbeatCommand { agent_id: id(agent), telemetry: None, epoch };
        now_or_never(fixture.registry.heartbeat.execute(&fixture.context, &command))
    }

    #[test]
    fn a_heartbeat_keeps_the_agent_alive() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        for _ in 0..3 {
            fixture.advance(120_000);
            let heard = beat(&fixture, "w-1", Some(1)).unwrap();
            assert_eq!((heard.status, heard.last_seen), (AgentStatus::Healthy, fixture.now()));
        }
        fixture.advance(120_001);
        assert_eq!(fixture.status("w-1"), AgentStatus::Unhealthy);
        assert_eq!(beat(&fixture, "w-1", None).unwrap().status, AgentStatus::Healthy);
    }

    #[test]
    fn strangers_and_the_replaced_are_refused() {
        let fixture = Fixture::new();
        assert_eq!(beat(&fixture, "w-1", None).unwrap_err().kind(), ErrorKind::NotFound);
        fixture.register(draft("w-1"));
        assert_eq!(beat(&fixture, "w-1", Some(2)).unwrap_err().reason(), "STALE_EPOCH");
        let telemetry = Some(AgentTelemetry { success_rate: 7.0, ..AgentTelemetry::default() });
        let command = RecordHeartbeatCommand { agent_id: id("w-1"), telemetry, epoch: None };
        let refused =
            now_or_never(fixture.registry.heartbeat.execute(&fixture.context, &command)).unwrap_err();
        assert_eq!(refused.field(), Some("telemetry.success_rate"));
    }
}
