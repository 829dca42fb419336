//! What the tests stand on: the contexts on SQLite in a folder of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hive_agent::{Agent, AgentConfig, announcement};
use hive_application::clock::{Clock, Timer};
use hive_application::context::CallContext;
use hive_application::ids::IdGenerator;
use hive_application::orchestration::{
    Config as OrchestrationConfig, Dependencies, Orchestration, Unobserved,
};
use hive_application::registry::{RegisterAgentCommand, Registry};
use hive_application::tickets::Tickets;
use hive_domain::registry::{Claim, LeaseTerms};
use hive_domain::time::Timestamp;
use hive_peers::in_process::{DeskPeer, RegistryPeer, TicketPeer};
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, TicketDatabase};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A registry whose time moves when told.
pub(crate) struct RegistryStand {
    pub(crate) registry: Registry,
    time: Arc<Hands>,
    _database: RegistryDatabase,
    _folder: TempDir,
}

impl RegistryStand {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = RegistryDatabase::open(&Config::new(folder.path().join("registry.db"))).await.unwrap();
        let time = Arc::new(Hands(AtomicI64::new(1_700_000_000_999)));
        let clock: Arc<dyn Clock> = Arc::<Hands>::clone(&time);
        let ids = Arc::new(Counter::default());
        let registry = Registry::new(database.repository(), clock, ids, LeaseTerms::default());
        RegistryStand { registry, time, _database: database, _folder: folder }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.time.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// All contexts in one process, with one agent at work and the flows supervised.
pub(crate) struct WholeStand {
    pub(crate) orchestration: Orchestration,
    _databases: (RegistryDatabase, TicketDatabase, OrchestrationDatabase),
    _folder: TempDir,
    _running: JoinSet<()>,
}

impl WholeStand {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Config::new(folder.path().join(name));
        let databases = (
            RegistryDatabase::open(&file("registry.db")).await.unwrap(),
            TicketDatabase::open(&file("tickets.db")).await.unwrap(),
            OrchestrationDatabase::open(&file("orchestration.db")).await.unwrap(),
        );
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let timer: Arc<dyn Timer> = Arc::new(WallClock);
        let ids: Arc<dyn IdGenerator> = Arc::new(Counter::default());
        let repository = databases.0.repository();
        let registry = Registry::new(repository, Arc::clone(&clock), Arc::clone(&ids), LeaseTerms::default());
        let tickets = Tickets::new(databases.1.repository(), databases.1.log(), Arc::clone(&clock));
        let dependencies = Dependencies {
            journal: databases.2.journal(),
            tickets: Arc::new(TicketPeer::new(tickets.clone())),
            agents: Arc::new(RegistryPeer::new(registry.clone())),
            clock: Arc::clone(&clock),
            timer: Arc::clone(&timer),
            ids,
            observer: Arc::new(Unobserved),
        };
        let orchestration = Orchestration::new(dependencies, OrchestrationConfig::default());

        let command = RegisterAgentCommand { announcement: announcement("agent-1", 10), claim: Claim::Host };
        let made = registry.register.execute(&CallContext::internal("test"), command).await.unwrap();
        let config = AgentConfig { agent_id: made.agent_id, epoch: made.epoch, max_concurrent: 10 };
        let desk = Arc::new(DeskPeer::new(tickets));
        let agent = Agent::new(config, desk, Arc::new(RegistryPeer::new(registry)), timer, clock);
        let mut running = JoinSet::new();
        running.spawn(async move { agent.execute(std::future::pending()).await.unwrap() });
        let (agents, supervisor) = (orchestration.agents.clone(), orchestration.supervisor.clone());
        running.spawn(async move { agents.execute().await.unwrap() });
        running.spawn(async move { supervisor.execute().await.unwrap() });
        WholeStand { orchestration, _databases: databases, _folder: folder, _running: running }
    }
}

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

#[async_trait]
impl Timer for WallClock {
    async fn sleep_until(&self, at: Timestamp) {
        let wait = u64::try_from(at.since(self.now())).unwrap_or_default();
        // The port's own promise; no test waits on it.
        tokio::time::timeout(Duration::from_millis(wait), std::future::pending::<()>()).await.unwrap_err();
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl IdGenerator for Counter {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}
