//! The suite of `AgentRepository`.

use std::sync::Arc;

use futures_util::future::join_all;
use hive_application::error::ErrorKind;
use hive_application::registry::{AgentListQuery, AgentRepository};
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentTelemetry, AgentType};
use hive_domain::registry::{Agent, Claim, LeaseTerms, RegistrationToken, RegistryError, TokenHash};

use crate::fixture::AgentFixture;
use crate::samples::{agent, announcement, at};

fn hash(text: &str) -> TokenHash {
    TokenHash::of(&RegistrationToken::new(text))
}

async fn register(
    agents: &dyn AgentRepository,
    id: &AgentId,
    namespace: &str,
    agent_type: AgentType,
    ms: i64,
) -> Agent {
    let terms = LeaseTerms::default();
    let mut change = |known: Option<Agent>| match known {
        None => Ok(Agent::register(id.clone(), announcement(namespace, agent_type), hash("t"), at(ms))),
        Some(mut agent) => {
            agent.register_again(
                announcement(namespace, agent_type),
                &Claim::Host,
                hash("u"),
                at(ms),
                &terms,
            )?;
            Ok(agent)
        }
    };
    agents.update(id, &mut change).await.unwrap()
}

fn known(agent: Option<Agent>) -> Result<Agent, RegistryError> {
    agent.ok_or(RegistryError::NotFound { agent: AgentId::parse("nobody").unwrap() })
}

fn all() -> AgentListQuery {
    AgentListQuery { agent_type: None, namespace: None, last_seen_before: None, after: None, limit: 100 }
}

async fn listed(agents: &dyn AgentRepository, query: AgentListQuery) -> Vec<String> {
    agents.list(&query).await.unwrap().iter().map(|agent| agent.id().as_str().to_owned()).collect()
}

/// The whole record comes back, also after the store was closed; the changes stay with the caller.
pub async fn saves_the_whole_record(fixture: &impl AgentFixture) {
    let (agents, close) = fixture.open().await;
    let id = agent("w1");
    assert_eq!(agents.find(&id).await.unwrap(), None);
    register(&*agents, &id, "ns", AgentType::Worker, 1).await;
    let figures = AgentTelemetry {
        success_rate: 0.1 + 0.2,
        avg_duration_ms: i64::MAX,
        total_executions: 7,
        failed_executions: 3,
        last_execution_at: 5,
    };
    let mut beat = |agent: Option<Agent>| {
        let mut agent = known(agent)?;
        agent.heartbeat(Some(figures), None, at(2))?;
        Ok(agent)
    };
    let mut saved = agents.update(&id, &mut beat).await.unwrap();
    assert!(!saved.take_changes(at(2)).is_empty());
    assert_eq!((saved.revision(), saved.record().telemetry), (2, figures));
    assert_eq!(agents.find(&id).await.unwrap(), Some(saved.clone()));
    close.await;
    let (agents, close) = fixture.open().await;
    assert_eq!(agents.find(&id).await.unwrap(), Some(saved.clone()));
    let again = register(&*agents, &id, "other", AgentType::Scout, 3).await;
    assert_eq!((again.epoch(), again.revision()), (2, 3));
    close.await;
}

/// A decision that fails, and one that changes nothing, save nothing.
pub async fn a_refusal_saves_nothing(fixture: &impl AgentFixture) {
    let (agents, close) = fixture.open().await;
    let id = agent("w1");
    let error = agents.update(&id, &mut known).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(agents.find(&id).await.unwrap(), None);
    register(&*agents, &id, "ns", AgentType::Worker, 1).await;
    let before = agents.find(&id).await.unwrap();
    let mut refuse = |agent: Option<Agent>| {
        let mut agent = known(agent)?;
        agent.heartbeat(None, None, at(5))?;
        agent.heartbeat(None, Some(99), at(6))?;
        Ok(agent)
    };
    assert_eq!(agents.update(&id, &mut refuse).await.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    assert_eq!(Some(agents.update(&id, &mut known).await.unwrap()), before);
    assert_eq!(agents.find(&id).await.unwrap(), before);
    close.await;
}

/// Heartbeats and registrations at once: every one of them counts.
pub async fn every_racer_counts(fixture: &impl AgentFixture) {
    let (agents, close) = fixture.open().await;
    let first = (0..20).map(|_| {
        let agents = Arc::clone(&agents);
        tokio::spawn(async move { register(&*agents, &agent("w1"), "ns", AgentType::Worker, 1).await })
    });
    let mut epochs: Vec<u64> =
        join_all(first.collect::<Vec<_>>()).await.into_iter().map(|agent| agent.unwrap().epoch()).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=20).collect::<Vec<_>>());
    close.await;
}

/// Lists by what storage can tell, in the order of the ids, page by page, without the retired.
pub async fn lists_the_living(fixture: &impl AgentFixture) {
    let (agents, close) = fixture.open().await;
    for (n, name) in ["b", "a", "é", "Z", "c"].into_iter().enumerate() {
        let agent_type = if name == "Z" { AgentType::Guard } else { AgentType::Worker };
        let namespace = if name == "a" { "one" } else { "two" };
        register(&*agents, &agent(name), namespace, agent_type, i64::try_from(n).unwrap()).await;
    }
    assert_eq!(listed(&*agents, all()).await, ["Z", "a", "b", "c", "é"]);
    let worker = AgentListQuery { agent_type: Some(AgentType::Worker), ..all() };
    assert_eq!(listed(&*agents, worker).await, ["a", "b", "c", "é"]);
    let namespace = AgentListQuery { namespace: Some("one".to_owned()), ..all() };
    assert_eq!(listed(&*agents, namespace).await, ["a"]);
    let silent = AgentListQuery { last_seen_before: Some(at(2)), ..all() };
    assert_eq!(listed(&*agents, silent).await, ["a", "b"]);
    let page = AgentListQuery { after: Some(agent("a")), limit: 2, ..all() };
    assert_eq!(listed(&*agents, page).await, ["b", "c"]);

    let mut retire = |agent: Option<Agent>| {
        let mut agent = known(agent)?;
        agent.retire(None, at(10))?;
        Ok(agent)
    };
    agents.update(&agent("b"), &mut retire).await.unwrap();
    assert_eq!(listed(&*agents, all()).await, ["Z", "a", "c", "é"]);
    assert!(agents.find(&agent("b")).await.unwrap().unwrap().is_retired());
    close.await;
}

/// Only what retired long enough ago is forgotten, a bounded number at a time.
pub async fn forgets_the_retired(fixture: &impl AgentFixture) {
    let (agents, close) = fixture.open().await;
    for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        register(&*agents, &agent(name), "ns", AgentType::Worker, 0).await;
        let mut retire = |agent: Option<Agent>| {
            let mut agent = known(agent)?;
            agent.retire(None, at(i64::try_from(n).unwrap()))?;
            Ok(agent)
        };
        if name != "d" {
            agents.update(&agent(name), &mut retire).await.unwrap();
        }
    }
    assert_eq!(agents.forget(at(0), 10).await.unwrap(), 0);
    assert_eq!(agents.forget(at(2), 1).await.unwrap(), 1);
    assert_eq!(agents.forget(at(2), 10).await.unwrap(), 1);
    assert_eq!(agents.forget(at(2), 10).await.unwrap(), 0);
    for (name, there) in [("a", false), ("b", false), ("c", true), ("d", true)] {
        assert_eq!(agents.find(&agent(name)).await.unwrap().is_some(), there, "{name}");
    }
    close.await;
}

/// Stamps the suite.
#[macro_export]
macro_rules! agent_repository {
    ($fixture:expr) => {
        $crate::stamp!($fixture; agent_repository:
            saves_the_whole_record,
            a_refusal_saves_nothing,
            every_racer_counts,
            lists_the_living,
            forgets_the_retired,
        );
    };
}
