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
//! `journal_driver` carries out what the flow of the domain asks for, `supervise_flows` does so for every open flow;
//! `submit_plan` hands it new ones, `watch_flow` tells how they stand; `follow_agents` reacts to agents that come and go.

mod agent_pool;
mod allocate_agents;
mod consolidate_results;
mod flow_feed;
mod flow_view;
mod follow_agents;
mod generate_tickets;
mod journal_driver;
mod list_plan_tickets;
mod observer;
mod ports;
mod publish_tickets;
mod submit_plan;
mod supervise_flows;
mod validate_plan;
mod watch_flow;

use std::sync::Arc;

use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::FlowConfig;
use hive_domain::orchestration::limits::Limits;

pub use agent_pool::{AgentPool, PoolConfig};
pub use flow_feed::FlowChange;
pub use flow_view::{FlowView, TicketCounts};
pub use follow_agents::FollowAgents;
pub use journal_driver::JournalDriver;
pub use list_plan_tickets::{ListPlanTickets, PlanTickets, PlanTicketsQuery};
pub use observer::{FlowObserver, Observers, Progress, Unobserved};
pub use ports::{
    AgentDirectory, AgentNews, AgentQuery, FlowOpening, Journal, JournalEntry, JournalWrite, Opened,
    OutboxMessage, StoredFlow, StoredMessage, TicketGateway,
};
pub use submit_plan::SubmitPlan;
pub use supervise_flows::SuperviseFlows;
pub use validate_plan::{Submission, ValidatePlan};
pub use watch_flow::{FlowWatch, WatchFlow};

use self::flow_feed::FlowFeed;
use crate::clock::{Clock, Timer};
use crate::error::Error;
use crate::ids::IdGenerator;

/// The target of the spans of orchestration. They are for whoever exports traces; without one none is made.
pub const SPAN_TARGET: &str = "hive.span.orchestration";

/// Everything that can be asked of the orchestration context.
#[derive(Clone, Debug)]
pub struct Orchestration {
    /// C1: judges a message; a plan that passes is remembered as a flow.
    pub validate: ValidatePlan,
    /// C1, then the plan runs under the supervisor.
    pub submit: SubmitPlan,
    /// Runs a flow to its end. Not for flows that the supervisor has.
    pub driver: JournalDriver,
    /// Runs every open flow; to be run once, beside everything else.
    pub supervisor: SuperviseFlows,
    /// Tells how flows stand, and follows them.
    pub flows: WatchFlow,
    /// Lists the tickets of a plan.
    pub tickets: ListPlanTickets,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What a message may be.
    pub limits: Limits,
    /// How flows behave.
    pub flow: FlowConfig,
    /// How many tickets run at a time, and where agents are looked for.
    pub pool: PoolConfig,
    /// Flows driven at a time; the others wait in the journal.
    pub max_flows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limits: Limits::default(),
            flow: FlowConfig::default(),
            pool: PoolConfig::default(),
            max_flows: 1_000,
        }
    }
}

impl Orchestration {
    /// The context on its ports.
    pub fn new(mut dependencies: Dependencies, config: Config) -> Self {
        let feed = Arc::new(FlowFeed::new(Arc::clone(&dependencies.clock)));
        let told: Arc<dyn FlowObserver> = Arc::<FlowFeed>::clone(&feed);
        dependencies.observer = Arc::new(Observers::new(vec![told, dependencies.observer]));
        let pool = Arc::new(AgentPool::new(&dependencies, config.flow.allocation, config.pool.clone()));
        let journal = Arc::clone(&dependencies.journal);
        let tickets = ListPlanTickets::new(Arc::clone(&dependencies.tickets));
        let flows = WatchFlow::new(Arc::clone(&journal), Arc::clone(&feed), config.flow.clone());
        let validate = ValidatePlan::new(&dependencies, config.limits, config.flow.sla);
        let agents = FollowAgents::new(&dependencies, Arc::clone(&pool));
        let driver = JournalDriver::new(dependencies.clone(), pool, config.flow);
        let supervisor = SuperviseFlows::new(dependencies, driver.clone(), feed, config.max_flows);
        Orchestration {
            submit: SubmitPlan::new(validate.clone(), supervisor.clone()),
            validate,
            driver,
            supervisor,
            flows,
            tickets,
            agents,
            journal: JournalHandle(journal),
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
