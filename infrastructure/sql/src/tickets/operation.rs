//! What callers queue for the writer: rows ready to bind, and the changes to show afterwards.

use hive_application::error::Error;
use hive_domain::ids::TicketId;
use hive_domain::tickets::{Ticket, TicketChange, TicketEvent, TicketSnapshot};

use super::mapping::{self, CONTENT, STATE, StateTexts};
use super::payload;
use crate::engine::rows;
use crate::statement::Cell;

/// One write.
#[derive(Debug)]
pub(super) enum Operation {
    /// New tickets, all or none; those that exist are left as they are.
    Create(Vec<Insert>),
    /// A change of one ticket, under the condition that its version is the expected one.
    Update(Box<Update>),
    /// How far a reader of the log came.
    Commit {
        /// The reader.
        consumer: String,
        /// Its place.
        offset: u64,
    },
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// For each ticket whether it is new.
    Created(Vec<bool>),
    /// The change is saved.
    Updated,
    /// The ticket is not at the expected version.
    Missed,
    /// The place is remembered.
    Remembered,
}

/// A ticket to insert.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) id: TicketId,
    pub(super) row: Vec<Cell>,
    pub(super) steps: Vec<Step>,
}

/// A ticket to change.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) id: TicketId,
    /// The number of its row.
    pub(super) number: Cell,
    pub(super) expected: u64,
    pub(super) row: Vec<Cell>,
    pub(super) steps: Vec<Step>,
    /// Tickets that the change creates.
    pub(super) spawned: Vec<Insert>,
}

/// One event: its history row, its outbox row, and what the log shows once it has an offset.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) history: [Cell; 6],
    pub(super) outbox: [Cell; 6],
    /// Its offset is not known before the outbox row is written.
    pub(super) change: TicketChange,
}

/// The number of the ticket's row, then the columns of [`Step::history`].
pub(super) const HISTORY: [&str; 7] =
    ["ticket", "version", "action", "old_status", "new_status", "changed_by", "at"];

/// The columns of [`Step::outbox`].
pub(super) const OUTBOX: [&str; 6] = ["ticket_id", "plan_id", "action", "agent", "at", "payload"];

/// The columns of bounded length whose type does not bound them. SQLite does not look.
const LONGEST: [(&str, usize); 3] = [("correlation_id", 36), ("trace_id", 64), ("span_id", 32)];

/// A change that left no event: nobody would ever learn of it.
#[derive(Debug, thiserror::Error)]
#[error("ticket {0} was changed without an event")]
struct Silent(TicketId);

impl Operation {
    /// The tickets it writes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Operation::Create(inserts) => inserts.len(),
            Operation::Update(update) => 1 + update.spawned.len(),
            Operation::Commit { .. } => 1,
        }
    }
}

impl Insert {
    /// The rows of a new ticket, whose version will be the number of its events.
    pub(super) fn of(ticket: &mut Ticket) -> Result<Self, Error> {
        let events = ticket.take_events();
        let version = events.len() as u64;
        let texts = StateTexts::of(ticket.state())?;
        let steps = steps(ticket, events, 0, &texts)?;
        let created_at = ticket.content().created_at;
        let mut row = Vec::with_capacity(CONTENT.len() + STATE.len());
        mapping::content_cells(ticket.content(), ticket.content_hash(), &mut row)?;
        mapping::state_cells(ticket.state(), &texts, version, created_at, &mut row);
        Ok(Insert { id: ticket.id().clone(), row, steps })
    }

    /// The version of the ticket once it is saved.
    pub(super) fn version(&self) -> u64 {
        self.steps.len() as u64
    }

    /// Refuses what PostgreSQL cannot store, by the name of the field.
    pub(super) fn check(&self) -> Result<(), Error> {
        let columns = || CONTENT.iter().chain(&STATE).copied();
        rows::refuse_nul(columns(), &self.row)?;
        for (field, max) in LONGEST {
            let cell = columns().position(|column| column == field).and_then(|at| self.row.get(at));
            if cell.and_then(Cell::text).is_some_and(|text| text.chars().count() > max) {
                return Err(Error::invalid(field, format_args!("has more than {max} characters")));
            }
        }
        self.steps.iter().try_for_each(Step::check)
    }
}

impl Update {
    /// The rows of a changed ticket, which lies in the row of that number. Every event counts as one version.
    pub(super) fn of(ticket: &mut Ticket, number: i64) -> Result<Self, Error> {
        let expected = ticket.version();
        let events = ticket.take_events();
        let mut spawned = ticket.take_spawned();
        let Some(updated_at) = events.last().map(|event| event.at) else {
            return Err(Error::internal(Silent(ticket.id().clone())));
        };
        let version = expected + events.len() as u64;
        let texts = StateTexts::of(ticket.state())?;
        let steps = steps(ticket, events, expected, &texts)?;
        let mut row = Vec::with_capacity(STATE.len() + 2);
        row.extend([number.into(), expected.into()]);
        mapping::state_cells(ticket.state(), &texts, version, updated_at, &mut row);
        let spawned = spawned.iter_mut().map(Insert::of).collect::<Result<_, _>>()?;
        Ok(Update { id: ticket.id().clone(), number: number.into(), expected, row, steps, spawned })
    }

    /// The version of the ticket once it is saved.
    pub(super) fn version(&self) -> u64 {
        self.expected + self.steps.len() as u64
    }

    /// Refuses what PostgreSQL cannot store, by the name of the field.
    pub(super) fn check(&self) -> Result<(), Error> {
        rows::refuse_nul(STATE, &self.row[2..])?;
        self.steps.iter().try_for_each(Step::check)
    }
}

impl Step {
    fn check(&self) -> Result<(), Error> {
        rows::refuse_nul(HISTORY.into_iter().skip(1), &self.history)
    }
}

fn steps(
    ticket: &Ticket,
    events: Vec<TicketEvent>,
    before: u64,
    texts: &StateTexts,
) -> Result<Vec<Step>, Error> {
    events.into_iter().zip(before + 1..).map(|(event, version)| step(ticket, event, version, texts)).collect()
}

fn step(ticket: &Ticket, event: TicketEvent, version: u64, texts: &StateTexts) -> Result<Step, Error> {
    let (content, state) = (ticket.content(), ticket.state());
    let id = Cell::from(ticket.id().as_str());
    let action = Cell::from(event.action.as_str());
    let history = [
        version.into(),
        action.clone(),
        event.old_status.map(|status| status.as_str()).into(),
        event.new_status.as_str().into(),
        event.changed_by.as_str().into(),
        event.at.millis().into(),
    ];
    let outbox = [
        id,
        content.plan_id.as_str().into(),
        action,
        state.assigned_worker.as_ref().map(|agent| agent.as_str()).into(),
        event.at.millis().into(),
        payload::write(&event, state, texts, version)?.into(),
    ];
    let ticket = TicketSnapshot { content: content.clone(), state: state.clone(), version };
    Ok(Step { history, outbox, change: TicketChange { offset: 0, event, ticket } })
}
