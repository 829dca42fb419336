//! What other contexts may name of the registry: plain values, read only.

use std::collections::BTreeMap;

use super::agent::AgentRecord;
pub use super::matching::{RankedAgent, ScoreTerms};
pub use super::status::{AgentStatus, AgentType};
pub use super::telemetry::AgentTelemetry;
use crate::ids::AgentId;
use crate::time::Timestamp;

/// An agent as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSnapshot {
    /// Which agent.
    pub agent_id: AgentId,
    /// What it is for.
    pub agent_type: AgentType,
    /// What it can do, sorted.
    pub capabilities: Vec<String>,
    /// What else it says about itself.
    pub metadata: BTreeMap<String, String>,
    /// Its last figures.
    pub telemetry: AgentTelemetry,
    /// How well it does.
    pub status: AgentStatus,
    /// Start of this incarnation.
    pub registered_at: Timestamp,
    /// When it was last heard from.
    pub last_seen: Timestamp,
    /// Where it works.
    pub namespace: String,
    /// The cluster it runs in.
    pub cluster: String,
    /// The version of its software.
    pub version: String,
    /// Shape of the record.
    pub schema_version: i32,
    /// Whether its lease ran out: what it was working on is to be given to others.
    pub is_expired: bool,
    /// The incarnation: a report under a lower one is void.
    pub epoch: u64,
    /// Orders what is known of one agent: the higher one is newer.
    pub revision: u64,
    /// Tickets it takes at a time; `None` when it does not say.
    pub max_concurrent_tasks: Option<u32>,
}

impl AgentSnapshot {
    pub(super) fn of(record: &AgentRecord) -> Self {
        Self {
            agent_id: record.agent_id.clone(),
            agent_type: record.agent_type,
            capabilities: record.capabilities.iter().map(str::to_owned).collect(),
            metadata: record.metadata.entries().clone(),
            telemetry: record.telemetry,
            status: record.status,
            registered_at: record.registered_at,
            last_seen: record.last_seen,
            namespace: record.namespace.clone(),
            cluster: record.cluster.clone(),
            version: record.version.clone(),
            schema_version: record.schema_version,
            is_expired: record.expired_at.is_some(),
            epoch: record.epoch,
            revision: record.revision,
            max_concurrent_tasks: record.metadata.max_concurrent_tasks(),
        }
    }
}

/// What happened to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentChangeKind {
    /// A first or further incarnation; the epoch tells which.
    Registered,
    /// It was heard from.
    Updated,
    /// Its figures gave it another status, or a sign of life brought it back.
    StatusChanged,
    /// Its lease ran out: it is UNHEALTHY, and what it was working on is to be given to others. The registry's wire
    /// contract has no such kind and calls it a change of status.
    Expired,
    /// Its registration ended, by its own wish or after a long silence.
    Deregistered,
}

/// One change of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentChange {
    /// What happened.
    pub kind: AgentChangeKind,
    /// The agent afterwards.
    pub agent: AgentSnapshot,
    /// When.
    pub at: Timestamp,
}
