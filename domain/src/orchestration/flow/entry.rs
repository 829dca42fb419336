//! What the journal remembers of a flow: appended as it happens, folded when the flow is taken up again.

use crate::ids::{AgentId, TicketId};
use crate::json::{Json, members, object};
use crate::tickets::public::{TicketAction, TicketChange, TicketStatus};
use crate::time::Timestamp;

/// How a plan went, judged before anything is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// Every ticket completed.
    Success,
    /// Some did not.
    Partial,
    /// More than half did not.
    Failed,
}

impl PlanStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            PlanStatus::Success => "SUCCESS",
            PlanStatus::Partial => "PARTIAL",
            PlanStatus::Failed => "FAILED",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [PlanStatus::Success, PlanStatus::Partial, PlanStatus::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// The verdict over `total` tickets of which `completed` completed.
    pub const fn of(completed: usize, total: usize) -> Self {
        if completed == total {
            PlanStatus::Success
        } else if total - completed > total / 2 {
            PlanStatus::Failed
        } else {
            PlanStatus::Partial
        }
    }
}

/// One step of a flow, or one thing that happened to one of its tickets.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowEntry {
    /// C2 is done: all tickets are saved.
    TicketsGenerated {
        /// When.
        at: Timestamp,
    },
    /// A ticket changed, as the ticket context's log tells.
    TicketChanged(TicketRecord),
    /// No agent suits a ticket; it waits for one until its deadline.
    Parked {
        /// The ticket.
        ticket_id: TicketId,
        /// What is missing.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Every ticket ended.
    ExecutionEnded {
        /// How it went.
        status: PlanStatus,
        /// The tickets to undo.
        undo: Vec<TicketId>,
        /// When.
        at: Timestamp,
    },
    /// C5 and C6 are done: the outcome is saved and on its way to everybody it concerns.
    Closed {
        /// When.
        at: Timestamp,
    },
}

/// What a flow needs to know of a changed ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketRecord {
    /// Place of the change in the ticket log.
    pub offset: u64,
    /// The ticket.
    pub ticket_id: TicketId,
    /// What was done.
    pub action: TicketAction,
    /// Where it stands.
    pub status: TicketStatus,
    /// The agent it is allocated to.
    pub agent: Option<AgentId>,
    /// Times it was tried again.
    pub retry_count: i32,
    /// Whether the failure may be tried again.
    pub retryable: bool,
    /// When an agent took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What went wrong.
    pub error_message: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl From<&TicketChange> for TicketRecord {
    fn from(change: &TicketChange) -> Self {
        let state = &change.ticket.state;
        TicketRecord {
            offset: change.offset,
            ticket_id: change.ticket.content.ticket_id.clone(),
            action: change.event.action,
            status: change.event.new_status,
            agent: state.assigned_worker.clone(),
            retry_count: state.retry_count,
            retryable: state.retryable.unwrap_or(true),
            started_at: state.started_at,
            completed_at: state.completed_at,
            error_message: state.error_message.clone(),
            at: change.event.at,
        }
    }
}

impl FlowEntry {
    /// The one word under which the journal files the entry.
    pub const fn kind(&self) -> &'static str {
        match self {
            FlowEntry::TicketsGenerated { .. } => "tickets_generated",
            FlowEntry::TicketChanged(_) => "ticket_changed",
            FlowEntry::Parked { .. } => "parked",
            FlowEntry::ExecutionEnded { .. } => "execution_ended",
            FlowEntry::Closed { .. } => "closed",
        }
    }

    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            FlowEntry::TicketChanged(record) => record.at,
            FlowEntry::TicketsGenerated { at }
            | FlowEntry::Parked { at, .. }
            | FlowEntry::ExecutionEnded { at, .. }
            | FlowEntry::Closed { at } => *at,
        }
    }

    /// The details, as the journal keeps them.
    pub fn payload(&self) -> Json {
        match self {
            FlowEntry::TicketsGenerated { at } | FlowEntry::Closed { at } => {
                object([("at", at.millis().into())])
            }
            FlowEntry::TicketChanged(record) => record.to_json(),
            FlowEntry::Parked { ticket_id, reason, at } => object([
                ("ticket_id", ticket_id.as_str().into()),
                ("reason", reason.as_str().into()),
                ("at", at.millis().into()),
            ]),
            FlowEntry::ExecutionEnded { status, undo, at } => object([
                ("status", status.as_str().into()),
                ("undo", undo.iter().map(TicketId::as_str).collect::<Vec<_>>().into()),
                ("at", at.millis().into()),
            ]),
        }
    }

    /// Reads what [`Self::kind`] and [`Self::payload`] wrote; `None` for anything else.
    pub fn parse(kind: &str, payload: &Json) -> Option<Self> {
        let at = timestamp(payload, "at")?;
        match kind {
            "tickets_generated" => Some(FlowEntry::TicketsGenerated { at }),
            "closed" => Some(FlowEntry::Closed { at }),
            "ticket_changed" => TicketRecord::parse(payload, at).map(FlowEntry::TicketChanged),
            "parked" => Some(FlowEntry::Parked {
                ticket_id: ticket_id(payload.get("ticket_id")?)?,
                reason: text(payload, "reason")?.to_owned(),
                at,
            }),
            "execution_ended" => Some(FlowEntry::ExecutionEnded {
                status: PlanStatus::parse(text(payload, "status")?)?,
                undo: payload.get("undo")?.as_list()?.iter().map(ticket_id).collect::<Option<_>>()?,
                at,
            }),
            _ => None,
        }
    }
}

impl TicketRecord {
    fn to_json(&self) -> Json {
        let mut json = members([
            ("offset", Json::Int(self.offset.into())),
            ("ticket_id", self.ticket_id.as_str().into()),
            ("action", self.action.as_str().into()),
            ("status", self.status.as_str().into()),
            ("at", self.at.millis().into()),
        ]);
        // Most changes need none of these: rows stay short.
        let optional = [
            ("agent", self.agent.as_ref().map(|agent| agent.as_str().into())),
            ("retry_count", (self.retry_count != 0).then(|| i64::from(self.retry_count).into())),
            ("retryable", (!self.retryable).then_some(Json::Bool(false))),
            ("started_at", self.started_at.map(|at| at.millis().into())),
            ("completed_at", self.completed_at.map(|at| at.millis().into())),
            ("error_message", self.error_message.as_deref().map(Json::from)),
        ];
        json.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        Json::Object(json)
    }

    fn parse(json: &Json, at: Timestamp) -> Option<Self> {
        let agent = match text(json, "agent") {
            Some(agent) => Some(AgentId::parse(agent).ok()?),
            None => None,
        };
        Some(TicketRecord {
            offset: u64::try_from(int(json, "offset")?).ok()?,
            ticket_id: ticket_id(json.get("ticket_id")?)?,
            action: TicketAction::parse(text(json, "action")?)?,
            status: TicketStatus::parse(text(json, "status")?)?,
            agent,
            retry_count: i32::try_from(int(json, "retry_count").unwrap_or(0)).ok()?,
            retryable: json.get("retryable") != Some(&Json::Bool(false)),
            started_at: timestamp(json, "started_at"),
            completed_at: timestamp(json, "completed_at"),
            error_message: text(json, "error_message").map(str::to_owned),
            at,
        })
    }
}

fn int(json: &Json, key: &str) -> Option<i128> {
    match json.get(key)? {
        Json::Int(number) => Some(*number),
        _ => None,
    }
}

fn text<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key)?.as_text()
}

fn timestamp(json: &Json, key: &str) -> Option<Timestamp> {
    Some(Timestamp::from_millis(i64::try_from(int(json, key)?).ok()?))
}

fn ticket_id(json: &Json) -> Option<TicketId> {
    TicketId::parse(json.as_text()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back() {
        let at = Timestamp::from_millis(5);
        let ticket_id = TicketId::parse("tk-1").unwrap();
        let record = TicketRecord {
            offset: 9,
            ticket_id: ticket_id.clone(),
            action: TicketAction::Failed,
            status: TicketStatus::Failed,
            agent: Some(AgentId::parse("agent-1").unwrap()),
            retry_count: 2,
            retryable: false,
            started_at: Some(at),
            completed_at: Some(at.plus_ms(1)),
            error_message: Some("boom".to_owned()),
            at,
        };
        let plain = TicketRecord { agent: None, error_message: None, retryable: true, ..record.clone() };
        for entry in [
            FlowEntry::TicketsGenerated { at },
            FlowEntry::TicketChanged(record),
            FlowEntry::TicketChanged(plain),
            FlowEntry::Parked { ticket_id: ticket_id.clone(), reason: "no agent".to_owned(), at },
            FlowEntry::ExecutionEnded { status: PlanStatus::Partial, undo: vec![ticket_id], at },
            FlowEntry::Closed { at },
        ] {
            assert!(entry.at() >= at);
            assert_eq!(FlowEntry::parse(entry.kind(), &entry.payload()), Some(entry));
        }
        assert_eq!(FlowEntry::parse("unheard of", &object([("at", Json::Int(1))])), None);
    }

    #[test]
    fn verdicts() {
        assert_eq!(PlanStatus::of(3, 3), PlanStatus::Success);
        assert_eq!(PlanStatus::of(2, 3), PlanStatus::Partial);
        assert_eq!(PlanStatus::of(1, 3), PlanStatus::Failed);
        assert_eq!(PlanStatus::of(2, 4), PlanStatus::Partial);
    }
}
