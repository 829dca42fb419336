//! What the tests of this folder share: the registry on a map, with a clock that moves when told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt;
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentSnapshot, AgentStatus};
use hive_domain::registry::{
    Agent, Announcement, AnnouncementDraft, Claim, LeaseTerms, RegistrationToken, TokenHash,
};
use hive_domain::time::Timestamp;

use super::*;
use crate::context::CallContext;

pub(super) struct Fixture {
    pub(super) registry: Registry,
    pub(super) context: CallContext,
    time: Arc<Hands>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let time = Arc::new(Hands(AtomicI64::new(1_000)));
        let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&time);
        let agents = Arc::new(Agents::default());
        let registry = Registry::new(agents, clock, Arc::new(Counter::default()), LeaseTerms::default());
        Fixture { registry, context: CallContext::internal("test"), time }
    }

    pub(super) fn advance(&self, ms: i64) {
        self.time.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    pub(super) fn register(&self, announcement: AnnouncementDraft) -> Registration {
        let command = RegisterAgentCommand { announcement, claim: Claim::None };
        now_or_never(self.registry.register.execute(&self.context, command)).unwrap()
    }

    pub(super) fn heartbeat(&self, agent: &str) {
        let command = RecordHeartbeatCommand { agent_id: id(agent), telemetry: None, epoch: None };
        now_or_never(self.registry.heartbeat.execute(&self.context, &command)).unwrap();
    }

    pub(super) fn status(&self, agent: &str) -> AgentStatus {
        now_or_never(self.registry.get(&id(agent))).unwrap().status
    }
}

/// Nothing here ever waits, so a future is done when first asked.
pub(super) fn now_or_never<F: Future>(future: F) -> F::Output {
    future.now_or_never().unwrap()
}

pub(super) fn id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

pub(super) fn draft(agent_id: &str) -> AnnouncementDraft {
    AnnouncementDraft {
        agent_type: hive_domain::registry::public::AgentType::Worker,
        capabilities: vec!["read".into(), "write".into()],
        metadata: BTreeMap::from([("agent_id".into(), agent_id.into())]),
        namespace: String::new(),
        cluster: String::new(),
        version: String::new(),
        telemetry: None,
    }
}

pub(super) fn snapshot(agent_id: AgentId, revision: u64) -> AgentSnapshot {
    let announcement = Announcement::check(draft(agent_id.as_str())).unwrap();
    let token = TokenHash::of(&RegistrationToken::new("t"));
    let now = Timestamp::from_millis(0);
    let agent = Agent::register(agent_id, announcement, token, now);
    AgentSnapshot { revision, ..agent.snapshot(&LeaseTerms::default(), now) }
}

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl IdGenerator for Counter {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Agents(Mutex<BTreeMap<AgentId, Agent>>);

#[async_trait]
impl AgentRepository for Agents {
    async fn find(&self, id: &AgentId) -> Result<Option<Agent>, Error> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }

    async fn list(&self, query: &AgentListQuery) -> Result<Vec<Agent>, Error> {
        let agents = self.0.lock().unwrap();
        let matches = |agent: &&Agent| {
            let record = agent.record();
            !agent.is_retired()
                && query.agent_type.is_none_or(|wanted| wanted == record.agent_type)
                && query.namespace.as_ref().is_none_or(|wanted| *wanted == record.namespace)
                && query.last_seen_before.is_none_or(|limit| record.last_seen < limit)
                && query.after.as_ref().is_none_or(|after| record.agent_id > *after)
        };
        Ok(agents.values().filter(matches).take(query.limit).cloned().collect())
    }

    async fn update(&self, id: &AgentId, change: &mut Change<'_>) -> Result<Agent, Error> {
        let mut agents = self.0.lock().unwrap();
        let known = agents.get(id).cloned();
        // As if another writer had been faster: a decision that counts twice would show.
        drop(change(known.clone()));
        let agent = change(known)?;
        agents.insert(id.clone(), Agent::restore(agent.record().clone()));
        Ok(agent)
    }

    async fn forget(&self, retired_before: Timestamp, limit: usize) -> Result<u64, Error> {
        let mut agents = self.0.lock().unwrap();
        let old: Vec<AgentId> = agents
            .values()
            .filter(|agent| agent.record().retired_at.is_some_and(|at| at < retired_before))
            .map(|agent| agent.id().clone())
            .take(limit)
            .collect();
        old.iter().for_each(|id| drop(agents.remove(id)));
        Ok(old.len() as u64)
    }
}
