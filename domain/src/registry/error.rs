//! Why the registry refuses a request.

use crate::ids::{AgentId, IdError};

/// A refused request. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A field breaks a rule.
    #[error("{field} {problem}")]
    InvalidField {
        /// The field, as a path from the request.
        field: String,
        /// What is wrong with it; never holds the value.
        problem: String,
    },
    /// A discovery or list filter that the registry does not know.
    #[error("filters.{key} is no filter; known are {known}")]
    UnknownFilter {
        /// The key as sent, shortened.
        key: String,
        /// The keys there are, in words.
        known: String,
    },
    /// The id belongs to a living agent, and the caller did not prove to be its owner.
    #[error("agent id {agent} is held by a living agent; registering it again takes its registration token")]
    IdHeld {
        /// The id asked for.
        agent: AgentId,
    },
    /// The caller is an incarnation of the agent that a newer one replaced.
    #[error("agent {agent} is at epoch {current}, the report is from epoch {reported}")]
    StaleEpoch {
        /// The agent.
        agent: AgentId,
        /// Its epoch.
        current: u64,
        /// The epoch of the report.
        reported: u64,
    },
    /// No such agent is registered.
    #[error("agent {agent} is not registered")]
    NotFound {
        /// The id asked for.
        agent: AgentId,
    },
}

impl RegistryError {
    /// A broken rule of `field`.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::InvalidField { field: field.into(), problem: problem.into() }
    }

    /// An identifier or short text that breaks the shared rule.
    pub fn id(field: impl Into<String>, error: &IdError) -> Self {
        Self::invalid(field, error.to_string())
    }
}
