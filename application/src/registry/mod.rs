//! The registry use cases, and their facade.

mod change_feed;
mod deregister_agent;
mod discover_agents;
mod expire_leases;
mod notify_agent;
mod observer;
mod ports;
mod record_heartbeat;
mod register_agent;
#[cfg(test)]
mod testing;
mod watch_agents;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentChangeKind, AgentSnapshot};
use hive_domain::registry::{AgentFilter, LeaseTerms, RegistryError};
use tracing::Instrument as _;
use tracing::field::Empty;

pub use deregister_agent::{DeregisterAgent, DeregisterAgentCommand};
pub use discover_agents::{DiscoverAgents, DiscoverAgentsCommand};
pub use expire_leases::{ExpireLeases, LeaseSweep};
pub use notify_agent::{Notification, NotifyAgent, NotifyAgentCommand};
pub use observer::{Operation, RegistryObserver, Search};
pub use ports::{AgentListQuery, AgentRepository, Change, RegistryDesk};
pub use record_heartbeat::{Heartbeat, RecordHeartbeat, RecordHeartbeatCommand};
pub use register_agent::{RegisterAgent, RegisterAgentCommand, Registration};
pub use watch_agents::AgentWatch;

use self::change_feed::ChangeFeed;
use self::notify_agent::Mailboxes;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::ids::IdGenerator;

/// The target of the spans of the registry. They are for whoever exports traces; without one none is made.
pub const SPAN_TARGET: &str = "hive.span.registry";

/// Everything that can be asked of the registry context.
#[derive(Clone)]
pub struct Registry {
    /// Admits an agent, or its next incarnation.
    pub register: RegisterAgent,
    /// Takes signs of life.
    pub heartbeat: RecordHeartbeat,
    /// Lets an agent go.
    pub deregister: DeregisterAgent,
    /// Finds agents for a piece of work.
    pub discover: DiscoverAgents,
    /// Judges silent agents; to be called at intervals.
    pub expire_leases: ExpireLeases,
    /// Tells an agent something.
    pub notify: NotifyAgent,
    repository: Arc<dyn AgentRepository>,
    clock: Arc<dyn Clock>,
    feed: Arc<ChangeFeed>,
    observer: Arc<dyn RegistryObserver>,
    terms: LeaseTerms,
}

impl Registry {
    /// Agents a page of a list holds at most.
    pub const MAX_PAGE: usize = 500;

    /// The context on its ports.
    pub fn new(
        repository: Arc<dyn AgentRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        terms: LeaseTerms,
    ) -> Self {
        Self::observed(repository, clock, ids, terms, Arc::new(observer::Unobserved))
    }

    /// The context on its ports, telling what happens in it.
    pub fn observed(
        repository: Arc<dyn AgentRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        terms: LeaseTerms,
        observer: Arc<dyn RegistryObserver>,
    ) -> Self {
        let feed = Arc::new(ChangeFeed::default());
        let writer = AgentWriter {
            repository: Arc::clone(&repository),
            clock: Arc::clone(&clock),
            feed: Arc::clone(&feed),
            mailboxes: Arc::default(),
            observer: Arc::clone(&observer),
            terms,
        };
        let discover = DiscoverAgents::new(writer.clone());
        Registry {
            register: RegisterAgent::new(writer.clone(), ids),
            heartbeat: RecordHeartbeat::new(writer.clone()),
            deregister: DeregisterAgent::new(writer.clone()),
            discover,
            notify: NotifyAgent::new(writer.clone()),
            expire_leases: ExpireLeases::new(writer),
            repository,
            clock,
            feed,
            observer,
            terms,
        }
    }

    /// The agent as it is now; `NotFound` when it is not registered.
    pub async fn get(&self, id: &AgentId) -> Result<AgentSnapshot, Error> {
        let asked_at = self.clock.now();
        let span = tracing::info_span!(target: SPAN_TARGET, "get_agent", agent_id = %id);
        let found = self.find(id).instrument(span).await;
        self.observer.asked(Operation::Get, found.is_ok(), self.clock.now().since(asked_at));
        found
    }

    async fn find(&self, id: &AgentId) -> Result<AgentSnapshot, Error> {
        let agent = self.repository.find(id).await?.filter(|agent| !agent.is_retired());
        let agent = agent.ok_or_else(|| RegistryError::NotFound { agent: id.clone() })?;
        Ok(agent.snapshot(&self.terms, self.clock.now()))
    }

    /// One page of the registered agents that match, in any status, by id; those after `after`.
    pub async fn list(&self, filter: &AgentFilter, after: Option<AgentId>) -> Result<AgentPage, Error> {
        let now = self.clock.now();
        let query = AgentListQuery { after, ..AgentListQuery::for_filter(filter) };
        let span = tracing::info_span!(target: SPAN_TARGET, "list_agents");
        let found = self.repository.list(&query).instrument(span).await;
        self.observer.asked(Operation::List, found.is_ok(), self.clock.now().since(now));
        let found = found?;
        let next = found.last().filter(|_| found.len() >= query.limit).map(|agent| agent.id().clone());
        let admitted = found.iter().filter(|agent| filter.admits(agent, &self.terms, now));
        Ok(AgentPage { agents: admitted.map(|agent| agent.snapshot(&self.terms, now)).collect(), next })
    }

    /// The agents there are, then every change; see [`AgentWatch`]. Ends only with an error of the store.
    pub fn watch(&self) -> BoxStream<'static, Result<AgentWatch, Error>> {
        watch_agents::watch(self.clone())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// One page of agents.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentPage {
    /// The agents; a page may hold few, or none, and yet not be the last.
    pub agents: Vec<AgentSnapshot>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<AgentId>,
}

/// What every writing use case does: change one agent, then tell those who watch.
#[derive(Clone)]
struct AgentWriter {
    repository: Arc<dyn AgentRepository>,
    clock: Arc<dyn Clock>,
    feed: Arc<ChangeFeed>,
    mailboxes: Arc<Mailboxes>,
    observer: Arc<dyn RegistryObserver>,
    terms: LeaseTerms,
}

impl AgentWriter {
    async fn update(&self, id: &AgentId, change: &mut Change<'_>) -> Result<AgentSnapshot, Error> {
        let mut agent = self.repository.update(id, change).await?;
        let now = self.clock.now();
        let changes = agent.take_changes(now);
        changes.iter().for_each(|change| self.observer.changed(change));
        if changes.iter().any(|change| change.kind == AgentChangeKind::Deregistered) {
            self.mailboxes.forget(id);
        }
        self.feed.publish(changes);
        Ok(agent.snapshot(&self.terms, now))
    }

    /// The same, as something that was asked.
    async fn answer(
        &self,
        operation: Operation,
        id: &AgentId,
        change: &mut Change<'_>,
    ) -> Result<AgentSnapshot, Error> {
        let asked_at = self.clock.now();
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "registry",
            otel.name = operation.span_name(),
            agent_id = %id,
            success = Empty,
        );
        let answer = self.update(id, change).instrument(span.clone()).await;
        span.record("success", answer.is_ok());
        self.observer.asked(operation, answer.is_ok(), self.clock.now().since(asked_at));
        answer
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::InvalidField { field, problem } => Error::invalid(field, problem),
            RegistryError::UnknownFilter { key, known } => {
                Error::invalid(format!("filters.{key}"), format_args!("is no filter; known are {known}"))
            }
            RegistryError::IdHeld { .. } => Error::new(ErrorKind::PermissionDenied, "AGENT_ID_HELD", message),
            RegistryError::StaleEpoch { .. } => {
                Error::new(ErrorKind::FailedPrecondition, "STALE_EPOCH", message)
            }
            RegistryError::NotFound { agent } => Error::not_found("Agent", agent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Fixture, draft, id, now_or_never};
    use super::*;

    #[test]
    fn a_page_ends_where_the_next_begins() {
        let fixture = Fixture::new();
        for n in 0..=Registry::MAX_PAGE {
            fixture.register(draft(&format!("w-{n:04}")));
        }
        let first = now_or_never(fixture.registry.list(&AgentFilter::default(), None)).unwrap();
        assert_eq!((first.agents.len(), first.next.clone()), (Registry::MAX_PAGE, Some(id("w-0499"))));
        let last = now_or_never(fixture.registry.list(&AgentFilter::default(), first.next)).unwrap();
        assert_eq!((last.agents.len(), last.next), (1, None));
    }

    #[test]
    fn a_silent_agent_reads_unhealthy_before_any_sweep() {
        let fixture = Fixture::new();
        fixture.register(draft("w-1"));
        fixture.advance(120_001);
        let agent = now_or_never(fixture.registry.get(&id("w-1"))).unwrap();
        assert_eq!(agent.status.as_str(), "UNHEALTHY");
        let healthy = AgentFilter::parse(&[("status".to_owned(), "healthy".to_owned())].into()).unwrap();
        assert_eq!(now_or_never(fixture.registry.list(&healthy, None)).unwrap().agents, []);
        let missing = now_or_never(fixture.registry.get(&id("w-2"))).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
