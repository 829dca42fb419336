//! One ticket of a flow, as far as the flow knows it.

use std::sync::Arc;

use super::entry::TicketRecord;
use crate::ids::{AgentId, TicketId};
use crate::tickets::public::{COMPENSATION_RETRIES, COMPENSATION_TIMEOUT_MS, TicketContent, TicketStatus};
use crate::time::Timestamp;

/// One ticket of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The ticket.
    pub ticket_id: TicketId,
    /// What it asks for; for an undo, what the undone ticket asked for.
    pub content: Arc<TicketContent>,
    /// The node this one undoes.
    pub undoes: Option<u32>,
    /// Where it stands.
    pub status: TicketStatus,
    /// The agent that has it.
    pub agent: Option<AgentId>,
    /// Times it was tried again.
    pub retry_count: i32,
    /// When an agent took it.
    pub started_at: Option<Timestamp>,
    /// Since when the present try counts: when an agent took it, until then when it was dispatched.
    pub running_since: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// Why no agent suits it, as last found out.
    pub parked: Option<String>,
    /// Milliseconds one try may take.
    pub timeout_ms: i64,
    /// When waiting for an agent ends.
    pub deadline: Timestamp,
    pub(super) max_retries: i32,
    pub(super) retryable: bool,
    pub(super) cancelled: bool,
    pub(super) queued: bool,
}

impl Node {
    pub(super) fn task(content: Arc<TicketContent>) -> Self {
        Node {
            ticket_id: content.ticket_id.clone(),
            undoes: None,
            status: TicketStatus::Pending,
            agent: None,
            retry_count: 0,
            started_at: None,
            running_since: None,
            completed_at: None,
            error_message: None,
            parked: None,
            timeout_ms: content.sla.timeout_ms,
            deadline: content.sla.deadline,
            max_retries: content.sla.max_retries,
            retryable: true,
            cancelled: false,
            queued: false,
            content,
        }
    }

    /// The undo of `original`, begun at `now`.
    pub(super) fn undo(original: u32, of: &Node, now: Timestamp) -> Self {
        Node {
            ticket_id: TicketId::for_compensation(&of.ticket_id),
            undoes: Some(original),
            timeout_ms: COMPENSATION_TIMEOUT_MS,
            deadline: now.plus_ms(COMPENSATION_TIMEOUT_MS),
            max_retries: COMPENSATION_RETRIES,
            ..Node::task(Arc::clone(&of.content))
        }
    }

    /// Takes in a change.
    pub(super) fn take_in(&mut self, record: &TicketRecord) {
        self.status = record.status;
        self.retry_count = record.retry_count;
        self.retryable = record.retryable;
        self.started_at = record.started_at;
        self.completed_at = record.completed_at;
        self.error_message.clone_from(&record.error_message);
        self.agent.clone_from(&record.agent);
        let running = record.status == TicketStatus::Running;
        self.running_since = running.then(|| record.started_at.unwrap_or(record.at));
        if record.status != TicketStatus::Pending {
            self.parked = None;
            self.queued = false;
        }
    }

    /// Whether the flow still has to do something about it.
    pub fn is_open(&self) -> bool {
        !self.status.is_terminal() || self.will_retry()
    }

    /// Whether it failed and will be tried again.
    pub fn will_retry(&self) -> bool {
        self.status == TicketStatus::Failed && self.retryable && self.retry_count < self.max_retries
    }

    /// Whether its work was done, undone since or not.
    pub fn has_completed(&self) -> bool {
        self.status == TicketStatus::Completed
    }
}
