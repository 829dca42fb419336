//! The statements that run for every ticket, prepared on the writing connection.
//!
//! They are sqlx statements over many rows rather than sea-orm's one at a time. Every statement on SQLite hops to the
//! connection's thread and back, which costs as much as writing a row or more. A batch of up to 64 rows takes two to
//! three hops, its begin and commit included: for 64 callers a ticket's life (four writes, each with history and outbox)
//! costs about 0.13 ms of SQLite's thread, alone 1 ms. One sea-orm transaction a write takes five hops for each.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::mapping::{CONTENT, STATE};
use super::operation::{Answer, HISTORY, Insert, OUTBOX, Operation, Step, Update};
use crate::engine::pruning::now;
use crate::statement::{self, BEGIN, Bound, COMMIT, Cell, Script, Shape};
use crate::writer::{self, Failure};

/// What a batch comes to: rows to write, and the answer to each operation once they are.
#[derive(Default)]
pub(super) struct Plan<'a> {
    inserts: Vec<&'a Insert>,
    updates: Vec<&'a Update>,
    steps: Vec<(Place<'a>, &'a Step)>,
    offsets: BTreeMap<&'a str, u64>,
    answers: Vec<Answer>,
    /// For every ticket that an operation inserts, in order, whether it is new.
    new: Vec<bool>,
}

/// Where the ticket of a step lies.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// In the row of this number.
    Known(&'a Cell),
    /// In the row that the plan's insert of this index makes.
    Inserted(usize),
}

/// What the database knew of the tickets of a batch before it: their versions.
type Known = HashMap<String, u64>;

/// What was written: the answers, which inserts took effect with the numbers of their rows, and the offsets of the
/// steps that did, all in order.
pub(super) struct Written {
    pub(super) answers: Vec<Answer>,
    pub(super) new: Vec<bool>,
    pub(super) inserted: Vec<Cell>,
    pub(super) offsets: Vec<i64>,
}

impl<'a> Plan<'a> {
    /// Without `known` every insert is believed to be new and every expected version to be right.
    fn of(operations: &'a [Operation], known: Option<&Known>) -> Self {
        let mut plan = Plan::default();
        let mut touched = HashSet::with_capacity(operations.len());
        for operation in operations {
            let answer = match operation {
                Operation::Create(inserts) => {
                    let first = plan.new.len();
                    inserts.iter().for_each(|insert| plan.insert(insert, &mut touched, known));
                    Answer::Created(plan.new[first..].to_vec())
                }
                Operation::Update(update) => plan.update(update, &mut touched, known),
                Operation::Commit { consumer, offset } => {
                    let place = plan.offsets.entry(consumer).or_default();
                    *place = (*place).max(*offset);
                    Answer::Remembered
                }
            };
            plan.answers.push(answer);
        }
        plan
    }

    fn insert(&mut self, insert: &'a Insert, touched: &mut HashSet<&'a str>, known: Option<&Known>) {
        let exists = known.is_some_and(|known| known.contains_key(insert.id.as_str()));
        let new = !exists && touched.insert(insert.id.as_str());
        if new {
            let place = Place::Inserted(self.inserts.len());
            self.inserts.push(insert);
            self.steps.extend(insert.steps.iter().map(|step| (place, step)));
        }
        self.new.push(new);
    }

    fn update(
        &mut self,
        update: &'a Update,
        touched: &mut HashSet<&'a str>,
        known: Option<&Known>,
    ) -> Answer {
        let id = update.id.as_str();
        let wrong = known.is_some_and(|known| known.get(id) != Some(&update.expected));
        // Whoever changes a ticket that this batch has changed already decided on a version that is gone by now.
        if wrong || !touched.insert(id) {
            self.new.extend(update.spawned.iter().map(|_| false));
            return Answer::Missed;
        }
        self.updates.push(update);
        self.steps.extend(update.steps.iter().map(|step| (Place::Known(&update.number), step)));
        update.spawned.iter().for_each(|insert| self.insert(insert, touched, known));
        Answer::Updated
    }
}

/// A batch met rows that are not as the same transaction had read them.
#[derive(Debug, thiserror::Error)]
#[error("rows changed inside the transaction that had read them")]
struct Shifting;

/// The prepared statements. Those that open the transaction, or commit it, save the hop of doing so.
#[derive(Debug)]
pub(super) struct Statements {
    open_insert: Script,
    insert: Script,
    open_update: Script,
    update: Script,
    steps: Script,
    steps_commit: Script,
    offsets: Script,
}

/// Whether the transaction of the batch is open.
#[derive(Clone, Copy, PartialEq)]
enum Transaction {
    Closed,
    Open,
}

impl Statements {
    pub(super) fn new() -> Self {
        let columns: Vec<_> = CONTENT.iter().chain(&STATE).copied().collect();
        let insert = || [Shape::insert("execution_tickets", &columns, "ON CONFLICT (ticket_id) DO NOTHING")];
        let update = || [Shape::update("execution_tickets", "id", "version", &STATE)];
        let steps =
            || [Shape::insert("ticket_history", &HISTORY, ""), Shape::insert("ticket_outbox", &OUTBOX, "")];
        let later = "ON CONFLICT (consumer) DO UPDATE SET position = max(position, excluded.position), at = excluded.at";
        let offsets = Shape::insert("log_offsets", &["consumer", "position", "at"], later);
        Statements {
            open_insert: Script::new(BEGIN, &insert(), ""),
            insert: Script::new("", &insert(), ""),
            open_update: Script::new(BEGIN, &update(), ""),
            update: Script::new("", &update(), ""),
            steps: Script::new("", &steps(), ""),
            steps_commit: Script::new("", &steps(), COMMIT),
            offsets: Script::new("", &[offsets], ""),
        }
    }

    /// Writes the operations in one transaction: first in the belief that all is as their callers think, which it
    /// nearly always is; when the counts show otherwise, once more after a look at the versions.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Written, Failure> {
        let plan = Plan::of(operations, None);
        if let Some(inserted) = self.write_tickets(connection, &plan, Transaction::Closed).await? {
            return self.write_consequences(connection, plan, inserted).await;
        }
        writer::roll_back(connection).await?;
        writer::begin(connection).await?;
        let known = versions(connection, operations).await?;
        let plan = Plan::of(operations, Some(&known));
        if let Some(inserted) = self.write_tickets(connection, &plan, Transaction::Open).await? {
            return self.write_consequences(connection, plan, inserted).await;
        }
        Err(sqlx::Error::Protocol(Shifting.to_string()).into())
    }

    /// The numbers of the inserted rows, or nothing when not every row was written. Opens the transaction.
    async fn write_tickets(
        &self,
        connection: &mut SqliteConnection,
        plan: &Plan<'_>,
        mut transaction: Transaction,
    ) -> Result<Option<Vec<Cell>>, Failure> {
        let mut inserted = Vec::with_capacity(plan.inserts.len());
        for part in plan.inserts.chunks(Script::MAX_ROWS) {
            let script = if transaction == Transaction::Open { &self.insert } else { &self.open_insert };
            transaction = Transaction::Open;
            let bound = script.bind(part.len(), &mut [&mut part.iter().flat_map(|insert| &insert.row)])?;
            match bound.run(connection).await?.last() {
                Some(done) if done.rows_affected() == part.len() as u64 => {
                    inserted.extend(statement::numbers(done, part.len()).map(Cell::from));
                }
                _ => return Ok(None),
            }
        }
        for part in plan.updates.chunks(Script::MAX_ROWS) {
            let script = if transaction == Transaction::Open { &self.update } else { &self.open_update };
            transaction = Transaction::Open;
            let bound = script.bind(part.len(), &mut [&mut part.iter().flat_map(|update| &update.row)])?;
            let done = bound.run(connection).await?;
            if done.last().is_none_or(|done| done.rows_affected() != part.len() as u64) {
                return Ok(None);
            }
        }
        if transaction == Transaction::Closed {
            writer::begin(connection).await?;
        }
        Ok(Some(inserted))
    }

    /// Writes history, outbox and places, and commits.
    async fn write_consequences(
        &self,
        connection: &mut SqliteConnection,
        plan: Plan<'_>,
        inserted: Vec<Cell>,
    ) -> Result<Written, Failure> {
        let at = Cell::from(now());
        let place = |(consumer, place): (&&str, &u64)| [(*consumer).into(), (*place).into(), at.clone()];
        let places: Vec<[Cell; 3]> = plan.offsets.iter().map(place).collect();
        for part in places.chunks(Script::MAX_ROWS) {
            let bound = self.offsets.bind(part.len(), &mut [&mut part.iter().flatten()])?;
            bound.run(connection).await?;
        }
        let mut offsets = Vec::with_capacity(plan.steps.len());
        let mut parts = plan.steps.chunks(Script::MAX_ROWS).peekable();
        while let Some(part) = parts.next() {
            let script = if parts.peek().is_some() { &self.steps } else { &self.steps_commit };
            let bound = bind_steps(script, part, &inserted)?;
            // History, outbox, commit: what fails after the first two is the commit.
            let done = bound.run(connection).await.map_err(|broken| match broken.done {
                2 => Failure::Commit(broken.error),
                _ => Failure::Before(broken.error),
            })?;
            offsets.extend(done.get(1).into_iter().flat_map(|outbox| statement::numbers(outbox, part.len())));
        }
        if plan.steps.is_empty() {
            writer::commit(connection).await?;
        }
        let Plan { answers, new, .. } = plan;
        Ok(Written { answers, new, inserted, offsets })
    }
}

fn bind_steps(
    script: &Script,
    steps: &[(Place<'_>, &Step)],
    inserted: &[Cell],
) -> Result<Bound, sqlx::Error> {
    let mut history = steps.iter().flat_map(|(place, step)| {
        let number = match place {
            Place::Known(number) => *number,
            Place::Inserted(index) => &inserted[*index],
        };
        std::iter::once(number).chain(&step.history)
    });
    let mut outbox = steps.iter().flat_map(|(_, step)| &step.outbox);
    script.bind(steps.len(), &mut [&mut history, &mut outbox])
}

/// The versions of the tickets that the operations touch, as far as they exist.
async fn versions(connection: &mut SqliteConnection, operations: &[Operation]) -> Result<Known, sqlx::Error> {
    let mut ids = Vec::with_capacity(operations.len());
    for operation in operations {
        match operation {
            Operation::Create(inserts) => ids.extend(inserts.iter().map(|insert| insert.id.as_str())),
            Operation::Update(update) => {
                ids.push(update.id.as_str());
                ids.extend(update.spawned.iter().map(|insert| insert.id.as_str()));
            }
            Operation::Commit { .. } => {}
        }
    }
    const PART: usize = 256;
    let marks = vec!["?"; PART].join(",");
    let text = format!("SELECT ticket_id, version FROM execution_tickets WHERE ticket_id IN ({marks})");
    let mut known = Known::with_capacity(ids.len());
    for part in ids.chunks(PART) {
        // What is not bound is NULL and finds nothing.
        let query = part.iter().fold(sqlx::query(AssertSqlSafe(text.as_str())), |query, id| query.bind(*id));
        for row in query.fetch_all(&mut *connection).await? {
            known.insert(row.try_get(0)?, row.try_get::<i64, _>(1)?.cast_unsigned());
        }
    }
    Ok(known)
}
