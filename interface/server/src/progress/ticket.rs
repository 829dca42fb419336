//! What is known of one ticket of a flow.

use std::fmt;
use std::sync::Arc;

use hive_domain::orchestration::flow::Node;
use hive_domain::tickets::{COMPENSATION_RETRIES, TicketContent};
use hive_domain::time::Timestamp;

/// A ticket with an agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) agent: String,
    pub(super) since: Timestamp,
}

/// What a ticket without an agent waits for, and how long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) what: String,
    pub(super) until: Timestamp,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for {} until {}", self.what, self.until)
    }
}

/// A ticket of the flow.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// How it is called.
    pub(super) task: String,
    pub(super) is_undo: bool,
    content: Arc<TicketContent>,
    /// When waiting for an agent ends.
    deadline: Timestamp,
    /// Whether an agent ever had it.
    pub(super) allocated: bool,
    pub(super) created: bool,
    /// How it ended, as last known: completed or not.
    pub(super) ended: Option<bool>,
}

impl Seen {
    /// A ticket of which nothing is known yet.
    pub(super) fn new(node: &Node) -> Self {
        let is_undo = node.undoes.is_some();
        let task = &node.content.task_id;
        Seen {
            task: if is_undo { format!("undo of {task}") } else { task.to_string() },
            is_undo,
            content: Arc::clone(&node.content),
            deadline: node.deadline,
            allocated: false,
            created: false,
            ended: None,
        }
    }

    /// Times it may be tried again.
    pub(super) fn max_retries(&self) -> i32 {
        if self.is_undo { COMPENSATION_RETRIES } else { self.content.sla.max_retries }
    }

    /// What the ticket waits for when no agent suits it.
    pub(super) fn waiting(&self, reason: &str) -> Waiting {
        let what = match self.content.required_capabilities.as_slice() {
            [] => format!("an agent ({reason})"),
            [one] => format!("an agent with capability {one}"),
            all => format!("an agent with capabilities {}", all.join(", ")),
        };
        Waiting { what, until: self.deadline }
    }
}
