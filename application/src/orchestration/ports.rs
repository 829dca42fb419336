//! What the orchestration use cases need: a journal of their own, and two neighbours.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hive_domain::ids::{AgentId, PlanId, TicketId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::generation::{PlannedTicket, SlaConfig};
use hive_domain::registry::public::{AgentChange, AgentSnapshot};
use hive_domain::tickets::public::{Order, TicketChange, TicketSnapshot};
use hive_domain::time::Timestamp;

use crate::error::Error;

/// The durable memory of flows: append-only, folded when a flow is taken up again.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Remembers a flow from its first step on, or hands back what is remembered under that id.
    async fn open(&self, flow: FlowOpening) -> Result<Opened, Error>;

    /// Appends entries and messages together, or nothing; with an outcome, ends the flow.
    async fn append(&self, write: JournalWrite) -> Result<(), Error>;

    /// What is remembered of a flow, entries in the order they were appended.
    async fn find(&self, workflow_id: &WorkflowId) -> Result<Option<StoredFlow>, Error>;

    /// Flows that have not ended, oldest first.
    async fn list_open(&self) -> Result<Vec<WorkflowId>, Error>;

    /// Appends messages that belong to no flow.
    async fn publish(&self, messages: Vec<OutboxMessage>) -> Result<(), Error>;

    /// Messages after `after`, in order, at most `limit`.
    async fn read_messages(&self, after: u64, limit: usize) -> Result<Vec<StoredMessage>, Error>;
}

/// The first thing remembered of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowOpening {
    /// The flow.
    pub workflow_id: WorkflowId,
    /// The plan it runs.
    pub plan_id: PlanId,
    /// Hash of the plan's content: the same plan id with another hash is another plan.
    pub plan_hash: String,
    /// The approved plan, as the flow reads it back.
    pub plan: Json,
    /// How the service levels of its tickets are computed.
    pub sla: SlaConfig,
    /// When C2 began.
    pub opened_at: Timestamp,
}

/// Whether a flow was new.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// It is remembered now.
    New,
    /// It was there before.
    Existing(StoredFlow),
}

/// A flow as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFlow {
    /// How it was opened.
    pub opening: FlowOpening,
    /// Everything appended since, oldest first.
    pub entries: Vec<JournalEntry>,
    /// Its outcome, once it ended.
    pub outcome: Option<Json>,
}

/// One journal row.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// What happened, one word.
    pub kind: String,
    /// Details.
    pub payload: Json,
}

/// What one append writes.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalWrite {
    /// The flow.
    pub workflow_id: WorkflowId,
    /// New entries.
    pub entries: Vec<JournalEntry>,
    /// Messages that follow from them.
    pub messages: Vec<OutboxMessage>,
    /// The outcome, when the flow ends with this.
    pub outcome: Option<Json>,
    /// When.
    pub at: Timestamp,
}

/// A message to the outside, delivered at least once after it is saved.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxMessage {
    /// Names the message for good; a second one with the same id is not saved.
    pub message_id: String,
    /// Where it goes.
    pub topic: String,
    /// What orders it among others of the topic.
    pub key: String,
    /// Its content.
    pub payload: Json,
    /// When it was made.
    pub at: Timestamp,
}

/// A saved message and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMessage {
    /// Place in the outbox; grows in commit order.
    pub offset: u64,
    /// The message.
    pub message: OutboxMessage,
}

/// The ticket context, seen from orchestration.
#[async_trait]
pub trait TicketGateway: Send + Sync {
    /// Creates tickets; those that exist with the same content count as created.
    async fn create(&self, tickets: Vec<PlannedTicket>) -> Result<(), Error>;

    /// Gives one ticket an order. What comes of it shows in [`Self::watch`].
    async fn order(&self, ticket_id: &TicketId, order: Order) -> Result<(), Error>;

    /// All tickets of a plan.
    async fn list(&self, plan_id: &PlanId) -> Result<Vec<TicketSnapshot>, Error>;

    /// Every change of a plan's tickets after `after`, those to come included.
    async fn watch(
        &self,
        plan_id: &PlanId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Arc<TicketChange>, Error>>, Error>;

    /// Returns to the queue what incarnations of the agent below `epoch` hold; no try is counted.
    async fn fence(&self, agent_id: &AgentId, epoch: u64) -> Result<u64, Error>;

    /// Returns to the queue what the vanished agent holds; a try is counted.
    async fn release_lost(&self, agent_id: &AgentId) -> Result<u64, Error>;
}

/// The registry, seen from orchestration.
#[async_trait]
pub trait AgentDirectory: Send + Sync {
    /// Selectable workers that have all the capabilities, best first by the registry's own ranking.
    async fn discover(&self, query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error>;

    /// The agents there are, then every change; the agents anew whenever changes were missed.
    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error>;
}

/// What is heard of agents.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentNews {
    /// All there are.
    Present(Vec<AgentSnapshot>),
    /// One changed.
    Changed(Arc<AgentChange>),
}

/// Which agents to look for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentQuery {
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// The namespace they must be in; any when none.
    pub namespace: Option<String>,
    /// How many at most.
    pub max_results: usize,
}
