//! Tickets as a batch of the writer on PostgreSQL.
//!
//! A batch is one statement in one round trip, which commits on its own: rows, history and outbox together, whatever
//! mixture of new and changed tickets it is. The statement finds out by itself which tickets are new and which are at
//! the expected version, and writes history and outbox of those only. Rows are locked in the order of their numbers and
//! ids, so that processes which write the same tickets at the same time wait for each other in one direction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hive_domain::tickets::TicketChange;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _};

use super::follower::Follower;
use super::hot_tickets::HotTickets;
use super::mapping::{CONTENT, STATE};
use super::operation::{Answer, Insert, Operation, Step, Update};
use crate::engine::horizon::{self, Outbox};
use crate::engine::postgres::{committed, in_time};
use crate::engine::pruning::{Pruned, now};
use crate::engine::rows::{self, Column, Form, Kind};
use crate::statement::Cell;
use crate::writer::{Batch, Failure};

/// The outbox of tickets.
pub(super) const OUTBOX: Outbox = Outbox {
    table: "ticket_outbox",
    rebase: horizon::rebase!("ticket_outbox", "SELECT position AS place FROM log_offsets"),
};

/// Where commits are told of.
pub(super) const CHANNEL: &str = "hive_tickets";

/// What the columns of tickets hold.
fn kind(column: &str) -> Kind {
    match column {
        "dependencies"
        | "sla"
        | "qos"
        | "parameters"
        | "required_capabilities"
        | "predictions"
        | "metadata"
        | "allocation" => Kind::Json,
        "created_at"
        | "estimated_duration_ms"
        | "epoch"
        | "dispatched_at"
        | "not_before"
        | "started_at"
        | "completed_at"
        | "actual_duration_ms"
        | "version"
        | "updated_at" => Kind::Long,
        "schema_version" | "retry_count" => Kind::Int,
        "retryable" => Kind::Flag,
        _ => Kind::Text,
    }
}

/// The columns of a step, and where its cells are: in the history row or in the outbox row.
const STEP: [(Column, bool, usize); 10] = [
    (("ticket_id", Kind::Text), false, 0),
    (("version", Kind::Long), true, 0),
    (("action", Kind::Text), true, 1),
    (("old_status", Kind::Text), true, 2),
    (("new_status", Kind::Text), true, 3),
    (("changed_by", Kind::Text), true, 4),
    (("at", Kind::Long), true, 5),
    (("plan_id", Kind::Text), false, 1),
    (("agent", Kind::Text), false, 3),
    (("payload", Kind::Text), false, 5),
];

const PLACE: [Column; 3] = [("consumer", Kind::Text), ("position", Kind::Long), ("at", Kind::Long)];

/// Which parts a statement has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Parts {
    form: Form,
    inserts: bool,
    updates: bool,
    places: bool,
}

/// What a batch comes to.
#[derive(Default)]
struct Plan<'a> {
    /// With the id of the ticket whose change creates it.
    inserts: Vec<(&'a Insert, Cell)>,
    updates: Vec<&'a Update>,
    steps: Vec<&'a Step>,
    places: BTreeMap<&'a str, u64>,
    /// For every operation, which of its inserts are in here; for a change, first whether it is itself.
    taken: Vec<Vec<bool>>,
}

impl<'a> Plan<'a> {
    /// Each ticket is written once in a statement. A second create finds it there; a second change decided on a version
    /// that is gone by then. Creates go first, so that a change whose undo is created by somebody else leaves it to them.
    fn of(operations: &'a [Operation]) -> Self {
        let mut plan = Plan { taken: vec![Vec::new(); operations.len()], ..Plan::default() };
        let mut touched = HashSet::with_capacity(operations.len());
        for (operation, taken) in operations.iter().zip(0..) {
            if let Operation::Create(inserts) = operation {
                let new = inserts.iter().map(|insert| plan.insert(insert, Cell::Null, &mut touched));
                let new: Vec<bool> = new.collect();
                plan.taken[taken] = new;
            }
        }
        for (operation, taken) in operations.iter().zip(0..) {
            match operation {
                Operation::Create(_) => {}
                Operation::Commit { consumer, offset } => {
                    let place = plan.places.entry(consumer).or_default();
                    *place = (*place).max(*offset);
                }
                Operation::Update(update) => {
                    let first = touched.insert(update.id.as_str());
                    let mut of_update = vec![first];
                    if first {
                        plan.updates.push(update);
                        plan.steps.extend(&update.steps);
                        let parent = Cell::from(update.id.as_str());
                        let spawned = update.spawned.iter();
                        of_update
                            .extend(spawned.map(|insert| plan.insert(insert, parent.clone(), &mut touched)));
                    }
                    plan.taken[taken] = of_update;
                }
            }
        }
        // The order in which rows are locked. That of inserts is the statement's.
        plan.updates.sort_unstable_by_key(|update| update.number.int());
        plan
    }

    fn insert(&mut self, insert: &'a Insert, parent: Cell, touched: &mut HashSet<&'a str>) -> bool {
        let first = touched.insert(insert.id.as_str());
        if first {
            self.inserts.push((insert, parent));
            self.steps.extend(&insert.steps);
        }
        first
    }

    fn parts(&self) -> Parts {
        let single = [self.inserts.len(), self.updates.len(), self.steps.len(), self.places.len()];
        Parts {
            form: if single.iter().all(|rows| *rows <= 1) { Form::Single } else { Form::Many },
            inserts: !self.inserts.is_empty(),
            updates: !self.updates.is_empty(),
            places: !self.places.is_empty(),
        }
    }
}

impl Parts {
    /// The columns of new tickets: the id of the ticket whose change creates it, then the row.
    fn inserts() -> Vec<Column> {
        let row = CONTENT.iter().chain(&STATE).map(|column| (*column, kind(column)));
        std::iter::once(("parent", Kind::Text)).chain(row).collect()
    }

    /// The columns of changed tickets.
    fn updates() -> Vec<Column> {
        let key = [("number", Kind::Long), ("expected", Kind::Long)];
        key.into_iter().chain(STATE.iter().map(|column| (*column, kind(column)))).collect()
    }

    /// The statement.
    fn text(self) -> String {
        let (form, mut taken) = (self.form, 0);
        let mut with = Vec::new();
        let mut written = Vec::new();
        if self.updates {
            with.push(rows::table("u", &Parts::updates(), "", form, &mut taken));
            let set: Vec<String> = STATE.iter().map(|column| format!("{column} = u.{column}")).collect();
            with.push(format!(
                "changed AS (UPDATE execution_tickets x SET {} FROM u \
                WHERE x.id = u.number AND x.version = u.expected RETURNING x.id, x.ticket_id)",
                set.join(", ")
            ));
            written.push("SELECT 'c' AS kind, id, ticket_id FROM changed");
        }
        if self.inserts {
            let number = "nextval('execution_tickets_id_seq') AS id, ";
            with.push(rows::table("i", &Parts::inserts(), number, form, &mut taken));
            let columns = CONTENT.iter().chain(&STATE).copied().collect::<Vec<_>>().join(", ");
            // Without its change, no ticket that the change creates.
            let orphans = if self.updates { "OR parent IN (SELECT ticket_id FROM changed)" } else { "" };
            with.push(format!(
                "created AS (INSERT INTO execution_tickets (id, {columns}) SELECT id, {columns} FROM i \
                WHERE parent IS NULL {orphans} ORDER BY ticket_id \
                ON CONFLICT (ticket_id) DO NOTHING RETURNING id, ticket_id)"
            ));
            written.push("SELECT 'n' AS kind, id, ticket_id FROM created");
        }
        if self.places {
            with.push(rows::table("p", &PLACE, "", form, &mut taken));
            with.push(
                "placed AS (INSERT INTO log_offsets (consumer, position, at) SELECT consumer, position, at FROM p \
                ON CONFLICT (consumer) DO UPDATE \
                SET position = greatest(log_offsets.position, excluded.position), at = excluded.at)"
                    .to_owned(),
            );
        }
        if written.is_empty() {
            return format!("WITH {} SELECT 'p', NULL::bigint, NULL::text WHERE false", with.join(", "));
        }
        let columns = STEP.map(|(column, ..)| column);
        with.push(rows::table("s", &columns, "", form, &mut taken));
        with.push(consequences(&written));
        let all = written.join(" UNION ALL ");
        format!(
            "WITH {} {all} UNION ALL SELECT 'o', max(id), NULL FROM logged \
            UNION ALL SELECT 'w', NULL, pg_notify('{}', '')::text FROM (SELECT FROM logged LIMIT 1) l",
            with.join(", "),
            CHANNEL
        )
    }

    fn arguments(self, plan: &Plan<'_>) -> Result<PgArguments, sqlx::Error> {
        let (form, mut arguments) = (self.form, PgArguments::default());
        if self.updates {
            let cell = |row: usize, at: usize| &plan.updates[row].row[at];
            rows::bind(&mut arguments, &Parts::updates(), form, plan.updates.len(), cell)?;
        }
        if self.inserts {
            let cell = |row: usize, at: usize| {
                let (insert, parent) = &plan.inserts[row];
                if at == 0 { parent } else { &insert.row[at - 1] }
            };
            rows::bind(&mut arguments, &Parts::inserts(), form, plan.inserts.len(), cell)?;
        }
        if self.places {
            let at = Cell::from(now());
            let place = |(consumer, place): (&&str, &u64)| [(*consumer).into(), (*place).into(), at.clone()];
            let places: Vec<[Cell; PLACE.len()]> = plan.places.iter().map(place).collect();
            rows::bind(&mut arguments, &PLACE, form, places.len(), |row, at| &places[row][at])?;
        }
        if self.inserts || self.updates {
            let cell = |row: usize, at: usize| {
                let (step, (_, history, place)) = (plan.steps[row], STEP[at]);
                if history { &step.history[place] } else { &step.outbox[place] }
            };
            let columns = STEP.map(|(column, ..)| column);
            rows::bind(&mut arguments, &columns, form, plan.steps.len(), cell)?;
        }
        Ok(arguments)
    }
}

/// History and outbox of the tickets that were written.
fn consequences(written: &[&str]) -> String {
    format!(
        "done AS ({}), \
        happened AS MATERIALIZED (SELECT s.*, done.id AS ticket FROM s JOIN done USING (ticket_id)), \
        history AS (INSERT INTO ticket_history (ticket, version, action, old_status, new_status, changed_by, at) \
        SELECT ticket, version, action, old_status, new_status, changed_by, at FROM happened), \
        logged AS (INSERT INTO ticket_outbox (id, ticket_id, plan_id, action, agent, at, payload) \
        SELECT {}, ticket_id, plan_id, action, agent, at, payload FROM happened RETURNING id)",
        written.join(" UNION ALL "),
        horizon::number()
    )
}

/// A row of the answer: what it tells of, the id of a ticket, and a number.
fn read(row: &PgRow) -> Result<(&str, Option<String>, Option<i64>), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(2)?, row.try_get(1)?))
}

/// What was written: the answers, the row numbers of new and changed tickets, and the newest record.
pub(super) struct Written {
    answers: Vec<Answer>,
    numbers: HashMap<String, i64>,
    newest: Option<u64>,
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    texts: HashMap<Parts, Arc<str>>,
    hot: Arc<HotTickets>,
    follower: Arc<Follower>,
}

impl Store {
    pub(super) fn new(hot: Arc<HotTickets>, follower: Arc<Follower>) -> Self {
        Store { texts: HashMap::new(), hot, follower }
    }
}

/// More events than a transaction can number.
#[derive(Debug, thiserror::Error)]
#[error("{0} records in one batch")]
struct TooMany(usize);

impl Batch for Store {
    type Engine = Postgres;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Written;

    /// The server needs about 60 µs a ticket. While it writes some, those whose tickets are written are answered and send
    /// the next.
    const MAX_WEIGHT: usize = 512;

    fn weight(operation: &Operation) -> usize {
        operation.weight()
    }

    async fn commit(
        &mut self,
        connection: &mut PgConnection,
        operations: &[Operation],
    ) -> Result<Written, Failure> {
        let plan = Plan::of(operations);
        if plan.steps.len() > horizon::MAX_RECORDS {
            return Err(sqlx::Error::Encode(Box::new(TooMany(plan.steps.len()))).into());
        }
        let parts = plan.parts();
        let (mut numbers, mut newest) = (HashMap::with_capacity(plan.steps.len()), None);
        if parts.inserts || parts.updates || parts.places {
            let text = Arc::clone(self.texts.entry(parts).or_insert_with(|| parts.text().into()));
            let query = sqlx::query_with(AssertSqlSafe(text), parts.arguments(&plan)?);
            // To the very last answer, which only comes when it is committed.
            // A server that comes back may have lost what it had committed: nothing held here is believed then.
            let rows = committed(query.fetch_all(connection)).await.inspect_err(|_| self.hot.clear())?;
            for row in rows {
                match read(&row).map_err(Failure::Commit)? {
                    (_, Some(id), Some(number)) => drop(numbers.insert(id, number)),
                    ("o", None, Some(number)) => newest = Some(number.cast_unsigned()),
                    _ => {}
                }
            }
        }
        let answers = operations.iter().zip(&plan.taken).map(|(operation, taken)| match operation {
            Operation::Create(inserts) => {
                let new =
                    |(insert, taken): (&Insert, &bool)| *taken && numbers.contains_key(insert.id.as_str());
                Answer::Created(inserts.iter().zip(taken).map(new).collect())
            }
            Operation::Update(update) if taken[0] && numbers.contains_key(update.id.as_str()) => {
                Answer::Updated
            }
            Operation::Update(_) => Answer::Missed,
            Operation::Commit { .. } => Answer::Remembered,
        });
        Ok(Written { answers: answers.collect(), numbers, newest })
    }

    async fn prune(
        &mut self,
        connection: &mut PgConnection,
        after: i64,
        before: i64,
    ) -> Result<Pruned, sqlx::Error> {
        in_time(super::PRUNING.run::<Postgres>(connection, after, before)).await
    }

    fn committed(&mut self, operations: Vec<Operation>, written: Written) -> Vec<Answer> {
        let keep = |step: Option<Step>| {
            let Some(Step { change, .. }) = step else { return };
            let number = written.numbers.get(change.ticket.content.ticket_id.as_str());
            if let Some(number) = number {
                // The offset of a hot ticket is nobody's business.
                self.hot.keep(*number, Arc::<TicketChange>::new(change));
            }
        };
        for (operation, answer) in operations.into_iter().zip(&written.answers) {
            match (operation, answer) {
                (Operation::Create(inserts), Answer::Created(new)) => {
                    let new = inserts.into_iter().zip(new).filter(|(_, new)| **new);
                    new.for_each(|(mut insert, _)| keep(insert.steps.pop()));
                }
                (Operation::Update(mut update), Answer::Updated) => {
                    keep(update.steps.pop());
                }
                _ => {}
            }
        }
        if let Some(newest) = written.newest {
            self.follower.wrote(newest);
        }
        written.answers
    }
}
