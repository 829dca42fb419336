//! What callers note on a ticket beside its status.

use std::collections::BTreeMap;

use super::error::TicketError;
use super::event::TicketAction;
use super::ticket::{Applied, Ticket};
use crate::ids::AgentId;
use crate::time::Timestamp;

/// Bytes that all keys and values of a ticket's metadata may have together once something was noted.
pub const METADATA_MAX_BYTES: usize = 64 * 1024;

/// Something to note.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotation {
    /// The agent it is to be allocated to, as long as no other has it.
    pub assigned_worker: Option<AgentId>,
    /// Pairs to add to its metadata; a known key takes the new value.
    pub metadata: BTreeMap<String, String>,
}

impl Annotation {
    /// Whether there is nothing to note.
    pub fn is_empty(&self) -> bool {
        self.assigned_worker.is_none() && self.metadata.is_empty()
    }
}

impl Ticket {
    /// Notes something on the ticket; its status stays. Noting what is there already changes nothing.
    pub fn annotate(
        &mut self,
        annotation: &Annotation,
        now: Timestamp,
        by: &str,
    ) -> Result<Applied, TicketError> {
        let state = self.state();
        let worker = annotation.assigned_worker.as_ref();
        let holder = state.agent_id.as_ref().or(state.assigned_worker.as_ref());
        if let (Some(worker), Some(owner)) = (worker, holder)
            && worker != owner
        {
            return Err(TicketError::NotYours { ticket: self.id().clone(), agent: worker.clone() });
        }
        let known = |(key, value): (&String, &String)| state.metadata.get(key) == Some(value);
        if (worker.is_none() || worker == state.assigned_worker.as_ref())
            && annotation.metadata.iter().all(known)
        {
            return Ok(Applied::AlreadyApplied);
        }
        let mut metadata = state.metadata.clone();
        metadata.extend(annotation.metadata.clone());
        if metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > METADATA_MAX_BYTES {
            let problem = "has more than 64 KiB of keys and values";
            return Err(TicketError::InvalidField { field: "metadata", problem });
        }
        let status = self.status();
        let state = self.state_mut();
        state.metadata = metadata;
        if let Some(worker) = worker {
            state.assigned_worker = Some(worker.clone());
        }
        self.enter(status, TicketAction::Annotated, now, by);
        Ok(Applied::Applied)
    }
}
