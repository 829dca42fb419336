//! Telling others what is asked of the registry, and what comes of it.

use hive_domain::registry::AgentType;
use hive_domain::registry::public::AgentChange;

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To admit an agent.
    Register,
    /// To take a sign of life.
    Heartbeat,
    /// To let an agent go.
    Deregister,
    /// To show an agent.
    Get,
    /// To list agents.
    List,
}

impl Operation {
    /// The name of its span.
    pub(super) const fn span_name(self) -> &'static str {
        match self {
            Operation::Register => "register_agent",
            Operation::Heartbeat => "heartbeat",
            Operation::Deregister => "deregister_agent",
            Operation::Get => "get_agent",
            Operation::List => "list_agents",
        }
    }
}

/// What came of a search for agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// The type wanted; any when none.
    pub agent_type: Option<AgentType>,
    /// Agents looked at.
    pub evaluated: usize,
    /// Agents found.
    pub found: usize,
    /// Milliseconds it took.
    pub took_ms: i64,
}

/// Is told what happens in the registry. Must not block.
pub trait RegistryObserver: Send + Sync {
    /// Something was asked, answered or refused after so many milliseconds.
    fn asked(&self, operation: Operation, succeeded: bool, took_ms: i64);

    /// An agent changed, and that is saved.
    fn changed(&self, change: &AgentChange);

    /// Agents were looked for.
    fn searched(&self, search: &Search);

    /// Silent agents were looked for.
    fn swept(&self);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unobserved;

impl RegistryObserver for Unobserved {
    fn asked(&self, _operation: Operation, _succeeded: bool, _took_ms: i64) {}

    fn changed(&self, _change: &AgentChange) {}

    fn searched(&self, _search: &Search) {}

    fn swept(&self) {}
}
