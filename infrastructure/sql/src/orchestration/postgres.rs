//! Journal writes as a batch of the writer on PostgreSQL.
//!
//! A batch is one statement in one round trip, which commits on its own and finds out by itself which flows are new and
//! which are open; only where a flow is opened or ended and written otherwise in one batch, it takes several.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hive_application::orchestration::JournalWrite;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Postgres, Row as _};

use super::operation::{Answer, ENTRY, Entry, FLOW, MESSAGE, Operation, entry_rows, flow_row, message_row};
use crate::engine::horizon::{self, Outbox};
use crate::engine::postgres::{answered, committed, in_time};
use crate::engine::pruning::Pruned;
use crate::engine::rows::{self, Column, Form, Kind};
use crate::statement::Cell;
use crate::writer::{Batch, Failure};

/// The outbox of orchestration.
pub(super) const OUTBOX: Outbox = Outbox {
    table: "orchestration_outbox",
    rebase: horizon::rebase!("orchestration_outbox", "SELECT NULL::bigint AS place"),
};

fn kind(column: &str) -> Kind {
    match column {
        "plan" | "payload" => Kind::Json,
        "sla_default_timeout_ms" | "sla_min_timeout_ms" | "opened_at" | "at" => Kind::Long,
        "sla_timeout_multiplier" => Kind::Real,
        _ => Kind::Text,
    }
}

fn kinds<const N: usize>(columns: [&'static str; N]) -> Vec<Column> {
    columns.into_iter().map(|column| (column, kind(column))).collect()
}

/// A flow that is written to, with its outcome when it ends.
const WRITE: [Column; 3] = [("workflow_id", Kind::Text), ("ended_at", Kind::Long), ("outcome", Kind::Json)];

/// The statement: everything in it may be empty.
fn text() -> String {
    let mut taken = 1;
    let mut table = |name, columns: &[Column]| rows::table(name, columns, "", Form::Many, &mut taken);
    // The flow of a message, NULL for one of no flow, goes before its row.
    let mut messages = vec![("workflow_id", Kind::Text)];
    messages.extend(kinds(MESSAGE));
    let (flow, entry, message) = (FLOW.join(", "), ENTRY.join(", "), MESSAGE.join(", "));
    format!(
        "WITH {}, {}, {}, {}, \
        opened AS (INSERT INTO flows ({flow}) SELECT {flow} FROM f ORDER BY workflow_id \
        ON CONFLICT DO NOTHING RETURNING workflow_id), \
        open AS MATERIALIZED (SELECT workflow_id FROM flows \
        WHERE workflow_id IN (SELECT workflow_id FROM w) AND ended_at IS NULL \
        ORDER BY workflow_id FOR NO KEY UPDATE), \
        ended AS (UPDATE flows SET ended_at = w.ended_at, outcome = w.outcome FROM w JOIN open USING (workflow_id) \
        WHERE flows.workflow_id = w.workflow_id AND w.ended_at IS NOT NULL), \
        appended AS (INSERT INTO flow_journal ({entry}) \
        SELECT {} FROM e JOIN open USING (workflow_id) ORDER BY ord), \
        sent AS (INSERT INTO orchestration_outbox (id, {message}) SELECT $1::bigint + {}, {message} FROM m \
        WHERE workflow_id IS NULL OR workflow_id IN (SELECT workflow_id FROM open) ORDER BY message_id \
        ON CONFLICT (message_id) DO NOTHING) \
        SELECT 'n', workflow_id FROM opened UNION ALL SELECT 'a', workflow_id FROM open",
        table("f", &kinds(FLOW)),
        table("w", &WRITE),
        table("e", &kinds(ENTRY)),
        table("m", &messages),
        entry.replace("workflow_id", "e.workflow_id"),
        horizon::number()
    )
}

/// What one statement writes.
#[derive(Default)]
struct Part {
    flows: Vec<[Cell; FLOW.len()]>,
    writes: Vec<[Cell; WRITE.len()]>,
    entries: Vec<Entry>,
    messages: Vec<[Cell; MESSAGE.len() + 1]>,
    operations: usize,
}

impl Part {
    /// The operations in order, in as few parts as possible: in one part a flow is opened, or ended, or appended to.
    fn of(operations: &[Operation]) -> Vec<Part> {
        let mut parts = vec![Part::default()];
        // Flows of the last part, and whether something else than an append is done to them.
        let mut flows: HashMap<&str, bool> = HashMap::new();
        for operation in operations {
            let (flow, alone) = match operation {
                Operation::Open(flow) => (Some(flow.workflow_id.as_str()), true),
                Operation::Append(write) => (Some(write.workflow_id.as_str()), write.outcome.is_some()),
                Operation::Publish(_) => (None, false),
            };
            if let Some(flow) = flow {
                if flows.get(flow).is_some_and(|before| *before || alone) {
                    flows.clear();
                    parts.push(Part::default());
                }
                flows.insert(flow, alone);
            }
            if let Some(part) = parts.last_mut() {
                part.add(operation);
            }
        }
        parts
    }

    fn add(&mut self, operation: &Operation) {
        self.operations += 1;
        let (messages, flow) = match operation {
            Operation::Open(flow) => return self.flows.push(flow_row(flow)),
            Operation::Append(write) => {
                self.writes.push(write_row(write));
                self.entries.extend(entry_rows(write));
                (&write.messages, Cell::from(write.workflow_id.as_str()))
            }
            Operation::Publish(messages) => (messages, Cell::Null),
        };
        self.messages.extend(messages.iter().map(|message| {
            let [id, topic, key, payload, at] = message_row(message);
            [flow.clone(), id, topic, key, payload, at]
        }));
    }

    fn arguments(&self, taken: usize) -> Result<PgArguments, sqlx::Error> {
        use sqlx::Arguments as _;
        let mut arguments = PgArguments::default();
        arguments.add(i64::try_from(taken).unwrap_or(i64::MAX)).map_err(sqlx::Error::Encode)?;
        let Part { flows, writes, entries, messages, .. } = self;
        let mut columns = vec![("workflow_id", Kind::Text)];
        columns.extend(kinds(MESSAGE));
        rows::bind(&mut arguments, &kinds(FLOW), Form::Many, flows.len(), |row, at| &flows[row][at])?;
        rows::bind(&mut arguments, &WRITE, Form::Many, writes.len(), |row, at| &writes[row][at])?;
        rows::bind(&mut arguments, &kinds(ENTRY), Form::Many, entries.len(), |row, at| &entries[row][at])?;
        rows::bind(&mut arguments, &columns, Form::Many, messages.len(), |row, at| &messages[row][at])?;
        Ok(arguments)
    }
}

fn write_row(write: &JournalWrite) -> [Cell; WRITE.len()] {
    let ended_at = write.outcome.as_ref().map(|_| write.at.millis());
    let outcome = write.outcome.as_ref().map(ToString::to_string);
    [write.workflow_id.as_str().into(), ended_at.into(), outcome.into()]
}

/// What a statement found and wrote.
#[derive(Debug, Default)]
struct Found {
    opened: HashSet<String>,
    open: HashSet<String>,
}

impl Found {
    fn read(rows: &[PgRow]) -> Result<Self, sqlx::Error> {
        let mut found = Found::default();
        for row in rows {
            match row.try_get(0)? {
                "n" => found.opened.insert(row.try_get(1)?),
                _ => found.open.insert(row.try_get(1)?),
            };
        }
        Ok(found)
    }

    fn answer(&self, operation: &Operation) -> Answer {
        match operation {
            Operation::Open(flow) => Answer::Opened(self.opened.contains(flow.workflow_id.as_str())),
            Operation::Append(write) if !self.open.contains(write.workflow_id.as_str()) => Answer::NotOpen,
            Operation::Append(_) | Operation::Publish(_) => Answer::Appended,
        }
    }
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    text: Arc<str>,
}

/// More messages than a transaction can number.
#[derive(Debug, thiserror::Error)]
#[error("{0} messages in one batch")]
struct TooMany(usize);

impl Store {
    pub(super) fn new() -> Self {
        Store { text: text().into() }
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        part: &Part,
        taken: usize,
    ) -> Result<Found, sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&self.text)), part.arguments(taken)?);
        // To the very last answer, which only comes when it is committed.
        Found::read(&query.fetch_all(connection).await?)
    }
}

impl Batch for Store {
    type Engine = Postgres;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Vec<Answer>;

    fn weight(operation: &Operation) -> usize {
        operation.weight()
    }

    async fn commit(
        &mut self,
        connection: &mut PgConnection,
        operations: &[Operation],
    ) -> Result<Self::Outcome, Failure> {
        let parts = Part::of(operations);
        let messages: usize = parts.iter().map(|part| part.messages.len()).sum();
        if messages > horizon::MAX_RECORDS {
            return Err(sqlx::Error::Encode(Box::new(TooMany(messages))).into());
        }
        if let [part] = &parts[..] {
            let found = committed(self.write(connection, part, 0)).await?;
            let answers = operations.iter().map(|operation| found.answer(operation)).collect();
            return Ok(answers);
        }
        answered(connection.execute("BEGIN")).await?;
        let (mut answers, mut taken) = (Vec::with_capacity(operations.len()), 0);
        for part in &parts {
            let found = answered(self.write(&mut *connection, part, taken)).await?;
            let of_part = operations.iter().skip(answers.len()).take(part.operations);
            answers.extend(of_part.map(|operation| found.answer(operation)));
            taken += part.messages.len();
        }
        committed(connection.execute("COMMIT")).await?;
        Ok(answers)
    }

    async fn prune(
        &mut self,
        connection: &mut PgConnection,
        after: i64,
        before: i64,
    ) -> Result<Pruned, sqlx::Error> {
        in_time(super::PRUNING.run::<Postgres>(connection, after, before)).await
    }

    fn committed(&mut self, _: Vec<Operation>, answers: Vec<Answer>) -> Vec<Answer> {
        answers
    }
}
