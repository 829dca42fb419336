//! What others tell a ticket.

use crate::ids::AgentId;
use crate::json::Json;
use crate::time::Timestamp;

/// Orchestration hands a ticket to an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The agent chosen.
    pub agent: AgentId,
    /// Its incarnation; an older one may not take the ticket.
    pub epoch: u64,
    /// Why it was chosen: scores with their terms.
    pub allocation: Json,
    /// When the last dependency completed; the work cannot have started earlier.
    pub not_before: Option<Timestamp>,
}

/// A worker, or a caller of the API, says how a ticket goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The reporting agent and its epoch. Workers of before epochs leave it out and are not fenced.
    pub agent: Option<(AgentId, u64)>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Whether trying again can help; unknown counts as yes.
    pub retryable: Option<bool>,
    /// Milliseconds the work took, as measured by the worker.
    pub actual_duration_ms: Option<i64>,
}

impl Report {
    /// A report of an agent, without details.
    pub fn by(agent: AgentId, epoch: u64) -> Self {
        Report { agent: Some((agent, epoch)), ..Report::default() }
    }
}
