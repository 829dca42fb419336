//! Judges silent agents. The one place where a lease ends; discovery needs no sweep to pass over an expired agent.

use hive_domain::registry::public::AgentSnapshot;
use hive_domain::registry::{Agent, LeaseState, RegistryError};

use super::AgentWriter;
use super::Registry;
use super::ports::AgentListQuery;
use crate::context::CallContext;
use crate::error::{Error, ErrorKind};

/// How long the record of a retired agent carries its epoch on: longer than any work it may still report on.
const RETIRED_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaseSweep {
    /// Agents whose lease was found to have run out.
    pub expired: Vec<AgentSnapshot>,
    /// Agents removed after a long silence.
    pub removed: Vec<AgentSnapshot>,
    /// Records of long retired agents deleted.
    pub forgotten: u64,
}

/// Judges silent agents.
#[derive(Clone)]
pub struct ExpireLeases {
    writer: AgentWriter,
}

impl ExpireLeases {
    pub(super) fn new(writer: AgentWriter) -> Self {
        ExpireLeases { writer }
    }

    /// Marks the agents whose lease ran out, removes those silent for five timeouts. What was done before an error
    /// stays done; the next sweep does the rest.
    pub async fn execute(&self, context: &CallContext) -> Result<LeaseSweep, Error> {
        let AgentWriter { repository, clock, observer, terms, .. } = &self.writer;
        observer.swept();
        let now = clock.now();
        let mut sweep = LeaseSweep::default();
        let mut page = AgentListQuery {
            agent_type: None,
            namespace: None,
            last_seen_before: Some(now.plus_ms(-terms.heartbeat_timeout_ms())),
            after: None,
            limit: Registry::MAX_PAGE,
        };
        loop {
            let silent = repository.list(&page).await?;
            for agent in &silent {
                self.judge(context, agent, &mut sweep).await?;
            }
            match silent.last() {
                Some(last) if silent.len() >= page.limit => page.after = Some(last.id().clone()),
                _ => break,
            }
        }
        sweep.forgotten = repository.forget(now.plus_ms(-RETIRED_KEPT_MS), Registry::MAX_PAGE).await?;
        Ok(sweep)
    }

    async fn judge(&self, context: &CallContext, seen: &Agent, sweep: &mut LeaseSweep) -> Result<(), Error> {
        let (id, terms, now) = (seen.id(), self.writer.terms, self.writer.clock.now());
        let mut changed = false;
        let mut state = LeaseState::Held;
        let mut change = |known: Option<Agent>| {
            let mut agent = known.ok_or_else(|| RegistryError::NotFound { agent: id.clone() })?;
            let before = agent.revision();
            // A heartbeat may have come in since the list was read: the newest record decides.
            state = agent.enforce_lease(&terms, now);
            changed = agent.revision() != before;
            Ok(agent)
        };
        let agent = match self.writer.update(id, &mut change).await {
            Ok(agent) => agent,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match (changed, state) {
            (true, LeaseState::Expired) => {
                tracing::warn!(agent_id = %id, caller = %context.principal, "lease of agent {id} ran out");
                sweep.expired.push(agent);
            }
            (true, LeaseState::Gone) => {
                tracing::warn!(agent_id = %id, caller = %context.principal, "agent {id} removed after long silence");
                sweep.removed.push(agent);
            }
            _ => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for ExpireLeases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExpireLeases").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, draft, id, now_or_never};
    use super::*;

    fn sweep(fixture: &Fixture) -> (usize, usize, u64) {
        let done = now_or_never(fixture.registry.expire_leases.execute(&fixture.context)).unwrap();
        (done.expired.len(), done.removed.len(), done.forgotten)
    }

    #[test]
    fn silence_expires_once_then_removes_then_is_forgotten() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        fixture.advance(120_000);
        assert_eq!(sweep(&fixture), (0, 0, 0));
        fixture.register(draft("w-2"));
        fixture.advance(1);
        assert_eq!(sweep(&fixture), (1, 0, 0));
        assert_eq!(sweep(&fixture), (0, 0, 0), "told once");
        fixture.heartbeat("w-2");
        fixture.advance(480_000);
        assert_eq!(sweep(&fixture), (1, 1, 0), "w-2 expires, w-1 goes");
        assert!(now_or_never(fixture.registry.get(&id("w-1"))).is_err());
        assert_eq!(fixture.register(draft("w-1")).epoch, 2);
        fixture.advance(RETIRED_KEPT_MS + 1);
        assert_eq!(sweep(&fixture), (0, 2, 0));
        fixture.advance(RETIRED_KEPT_MS + 1);
        assert_eq!(sweep(&fixture), (0, 0, 2));
    }
}
