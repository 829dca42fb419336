//! The orchestration use cases: the steps of Flow C and what drives them.
//!
//! | step | file |
//! | --- | --- |
//! | C1 | `validate_plan` |
//! | C2 | `generate_tickets` |
//! | C3 | `allocate_agents`, on the accounts of `agent_pool` |
//! | C4 | `publish_tickets` |
//! | C5, C6 | `consolidate_results` |
//!
//! `journal_driver` carries out what the flow of the domain asks for; `follow_agents` reacts to agents that come and go.

mod agent_pool;
mod allocate_agents;
mod consolidate_results;
mod follow_agents;
mod generate_tickets;
mod journal_driver;
mod observer;
mod ports;
mod publish_tickets;
mod validate_plan;

use std::sync::Arc;

use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::FlowConfig;
use hive_domain::orchestration::limits::Limits;

pub use agent_pool::{AgentPool, PoolConfig};
pub use follow_agents::FollowAgents;
pub use journal_driver::JournalDriver;
pub use observer::{FlowObserver, Progress, Unobserved};
pub use ports::{
    AgentDirectory, AgentNews, AgentQuery, FlowOpening, Journal, JournalEntry, JournalWrite, Opened,
    OutboxMessage, StoredFlow, StoredMessage, TicketGateway,
};
pub use validate_plan::{Submission, ValidatePlan};

use crate::clock::{Clock, Timer};
use crate::error::Error;
use crate::ids::IdGenerator;

/// Everything that can be asked of the orchestration context.
#[derive(Clone, Debug)]
pub struct Orchestration {
    /// C1: judges a message; a plan that passes is remembered as a flow.
    pub validate: ValidatePlan,
    /// Runs a flow to its end.
    pub driver: JournalDriver,
    /// Reacts to agents that come and go; to be run beside the flows.
    pub agents: FollowAgents,
    journal: JournalHandle,
}

/// What orchestration needs.
#[derive(Clone)]
pub struct Dependencies {
    /// The memory of flows.
    pub journal: Arc<dyn Journal>,
    /// The ticket context.
    pub tickets: Arc<dyn TicketGateway>,
    /// The registry.
    pub agents: Arc<dyn AgentDirectory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Waking up later.
    pub timer: Arc<dyn Timer>,
    /// Ids nobody can guess.
    pub ids: Arc<dyn IdGenerator>,
    /// Who is told how flows go.
    pub observer: Arc<dyn FlowObserver>,
}

/// How orchestration behaves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// What a message may be.
    pub limits: Limits,
    /// How flows behave.
    pub flow: FlowConfig,
    /// How many tickets run at a time, and where agents are looked for.
    pub pool: PoolConfig,
}

impl Orchestration {
    /// The context on its ports.
    pub fn new(dependencies: Dependencies, config: Config) -> Self {
        let pool = Arc::new(AgentPool::new(
            Arc::clone(&dependencies.agents),
            Arc::clone(&dependencies.clock),
            config.flow.allocation,
            config.pool.clone(),
        ));
        Orchestration {
            validate: ValidatePlan::new(&dependencies, config.limits, config.flow.sla),
            agents: FollowAgents::new(&dependencies, Arc::clone(&pool)),
            journal: JournalHandle(Arc::clone(&dependencies.journal)),
            driver: JournalDriver::new(dependencies, pool, config.flow),
        }
    }

    /// Flows that have not ended, oldest first.
    pub async fn list_open(&self) -> Result<Vec<WorkflowId>, Error> {
        self.journal.0.list_open().await
    }

    /// What is remembered of a flow.
    pub async fn find(&self, workflow_id: &WorkflowId) -> Result<Option<StoredFlow>, Error> {
        self.journal.0.find(workflow_id).await
    }

    /// Messages to the outside after `after`, in order.
    pub async fn messages(&self, after: u64, limit: usize) -> Result<Vec<StoredMessage>, Error> {
        self.journal.0.read_messages(after, limit).await
    }
}

#[derive(Clone)]
struct JournalHandle(Arc<dyn Journal>);

impl std::fmt::Debug for JournalHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

impl std::fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependencies").finish_non_exhaustive()
    }
}
