//! Tells an agent something: it hears it with the answer to its next heartbeat, since nobody can call an agent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hive_domain::ids::AgentId;
use hive_domain::registry::{LeaseState, RegistryError};
use hive_domain::time::Timestamp;
use tracing::Instrument as _;

use super::{AgentWriter, SPAN_TARGET};
use crate::context::CallContext;
use crate::error::Error;

/// Notifications that wait for one agent; the oldest goes when another one comes.
const WAITING: usize = 16;
/// The kind of a notification that names none.
const DEFAULT_KIND: &str = "INFO";
/// Bytes of its parts, and entries of its metadata.
const MAX_KIND: usize = 64;
const MAX_MESSAGE: usize = 4_096;
const MAX_ENTRIES: usize = 32;
const MAX_TEXT: usize = 1_024;

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What it is about, such as `INFO`.
    pub kind: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub metadata: BTreeMap<String, String>,
    /// When it was taken.
    pub at: Timestamp,
}

/// A notification for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyAgentCommand {
    /// For whom.
    pub agent_id: AgentId,
    /// What it is about; `INFO` when empty.
    pub kind: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub metadata: BTreeMap<String, String>,
}

/// Tells agents something.
#[derive(Clone)]
pub struct NotifyAgent {
    writer: AgentWriter,
}

impl NotifyAgent {
    pub(super) fn new(writer: AgentWriter) -> Self {
        NotifyAgent { writer }
    }

    /// Keeps it, in this process alone, for the agent's next heartbeat, which takes it: it is heard once at most. Whether
    /// that heartbeat is to be expected: one that is silent is told nothing. `NotFound` without such an agent,
    /// `InvalidArgument` names a part that is too long.
    pub async fn execute(&self, context: &CallContext, command: NotifyAgentCommand) -> Result<bool, Error> {
        context.must_be_service()?;
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "notify_agent",
            agent_id = %command.agent_id,
            notification_type = command.kind,
        );
        self.keep(command).instrument(span).await
    }

    async fn keep(&self, command: NotifyAgentCommand) -> Result<bool, Error> {
        check(&command)?;
        let NotifyAgentCommand { agent_id, kind, message, metadata } = command;
        let AgentWriter { repository, clock, terms, mailboxes, .. } = &self.writer;
        let now = clock.now();
        let kind = if kind.is_empty() { DEFAULT_KIND.to_owned() } else { kind };
        // Before the look at the agent: whoever ends its registration empties its box after it is seen to be gone.
        mailboxes.put(&agent_id, Notification { kind, message, metadata, at: now });
        let known = repository.find(&agent_id).await.inspect_err(|_| mailboxes.forget(&agent_id))?;
        let known = known.filter(|agent| !agent.is_retired());
        let is_heard = known.as_ref().is_some_and(|agent| agent.lease(terms, now) == LeaseState::Held);
        if !is_heard {
            mailboxes.forget(&agent_id);
        }
        match known {
            Some(_) => Ok(is_heard),
            None => Err(RegistryError::NotFound { agent: agent_id }.into()),
        }
    }
}

fn check(command: &NotifyAgentCommand) -> Result<(), Error> {
    let long =
        |field: &str, max: usize| Err(Error::invalid(field, format_args!("is longer than {max} bytes")));
    if command.kind.len() > MAX_KIND {
        return long("notification_type", MAX_KIND);
    }
    if command.message.len() > MAX_MESSAGE {
        return long("message", MAX_MESSAGE);
    }
    if command.metadata.len() > MAX_ENTRIES {
        return Err(Error::invalid("metadata", format_args!("has more than {MAX_ENTRIES} entries")));
    }
    if command.metadata.iter().any(|(key, value)| key.len().max(value.len()) > MAX_TEXT) {
        return long("metadata", MAX_TEXT);
    }
    Ok(())
}

impl std::fmt::Debug for NotifyAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyAgent").finish_non_exhaustive()
    }
}

/// What waits for each agent.
#[derive(Default)]
pub(super) struct Mailboxes(Mutex<HashMap<AgentId, VecDeque<Notification>>>);

impl Mailboxes {
    fn put(&self, agent_id: &AgentId, notification: Notification) {
        let mut boxes = self.lock();
        let waiting = boxes.entry(agent_id.clone()).or_default();
        if waiting.len() == WAITING {
            waiting.pop_front();
        }
        waiting.push_back(notification);
    }

    /// What waits, oldest first; it waits no more.
    pub(super) fn take(&self, agent_id: &AgentId) -> Vec<Notification> {
        self.lock().remove(agent_id).map(Vec::from).unwrap_or_default()
    }

    /// The agent is gone.
    pub(super) fn forget(&self, agent_id: &AgentId) {
        self.lock().remove(agent_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, VecDeque<Notification>>> {
        // Every change is complete at each step, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RecordHeartbeatCommand;
    use super::super::testing::{Fixture, draft, id, now_or_never};
    use super::*;
    use crate::error::ErrorKind;

    fn notify(fixture: &Fixture, agent: &str, message: &str) -> Result<bool, Error> {
        let (kind, metadata) = (String::new(), BTreeMap::new());
        let command = NotifyAgentCommand { agent_id: id(agent), kind, message: message.to_owned(), metadata };
        now_or_never(fixture.registry.notify.execute(&fixture.context, command))
    }

    fn heard(fixture: &Fixture, agent: &str) -> Vec<String> {
        let command = RecordHeartbeatCommand { agent_id: id(agent), telemetry: None, epoch: None };
        let heard = now_or_never(fixture.registry.heartbeat.execute(&fixture.context, &command)).unwrap();
        heard.notifications.into_iter().map(|told| format!("{}: {}", told.kind, told.message)).collect()
    }

    #[test]
    fn an_agent_hears_it_once_with_its_next_heartbeat() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        fixture.register(draft("w-2"));
        for message in ["first", "second"] {
            assert!(notify(&fixture, "w-1", message).unwrap());
        }
        assert!(heard(&fixture, "w-2").is_empty());
        assert_eq!(heard(&fixture, "w-1"), ["INFO: first", "INFO: second"]);
        assert!(heard(&fixture, "w-1").is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_goes_with_the_agent() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        for number in 0..WAITING + 3 {
            notify(&fixture, "w-1", &number.to_string()).unwrap();
        }
        let heard = heard(&fixture, "w-1");
        assert_eq!((heard.len(), heard[0].as_str()), (WAITING, "INFO: 3"));
        notify(&fixture, "w-1", "too late").unwrap();
        let leave = super::super::DeregisterAgentCommand { agent_id: id("w-1"), epoch: None };
        now_or_never(fixture.registry.deregister.execute(&fixture.context, &leave)).unwrap();
        assert!(fixture.registry.notify.writer.mailboxes.take(&id("w-1")).is_empty());
    }

    #[test]
    fn who_is_not_there_or_silent_is_told_nothing() {
        let fixture = Fixture::new();
        assert_eq!(notify(&fixture, "nobody", "hello").unwrap_err().kind(), ErrorKind::NotFound);
        fixture.register(draft("w-1"));
        fixture.advance(120_001);
        assert!(!notify(&fixture, "w-1", "hello").unwrap());
        assert!(heard(&fixture, "w-1").is_empty());
        let long = "x".repeat(MAX_MESSAGE + 1);
        assert_eq!(notify(&fixture, "w-1", &long).unwrap_err().field(), Some("message"));
    }
}
