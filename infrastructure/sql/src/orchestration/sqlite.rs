//! Journal writes as a batch of the writer on SQLite.

use hive_application::orchestration::{FlowOpening, JournalWrite, OutboxMessage};
use sqlx::Sqlite;
use sqlx::sqlite::SqliteConnection;

use super::operation::{Answer, ENTRY, Entry, FLOW, MESSAGE, Operation, entry_rows, flow_row, message_row};
use crate::engine::pruning::Pruned;
use crate::statement::{BEGIN, COMMIT, Cell, Script, Shape};
use crate::writer::{self, Batch, Failure};

/// The statements of this database.
#[derive(Debug)]
pub(super) struct Store {
    open: Script,
    entries: Script,
    open_entries: Script,
    only_entries: Script,
    messages: Script,
}

impl Store {
    pub(super) fn new() -> Self {
        let entries = || [entries()];
        let open = Shape::insert("flows", &FLOW, "ON CONFLICT DO NOTHING");
        let messages = Shape::insert("orchestration_outbox", &MESSAGE, "ON CONFLICT (message_id) DO NOTHING");
        Store {
            open: Script::new("", &[open], ""),
            entries: Script::new("", &entries(), ""),
            open_entries: Script::new(BEGIN, &entries(), ""),
            only_entries: Script::new(BEGIN, &entries(), COMMIT),
            messages: Script::new("", &[messages], ""),
        }
    }

    async fn open(&self, connection: &mut SqliteConnection, flow: &FlowOpening) -> Result<bool, Failure> {
        let row = flow_row(flow);
        let bound = self.open.bind(1, &mut [&mut row.iter()])?;
        Ok(bound.run(connection).await?.last().is_some_and(|done| done.rows_affected() == 1))
    }

    async fn is_open(
        &self,
        connection: &mut SqliteConnection,
        write: &JournalWrite,
    ) -> Result<bool, sqlx::Error> {
        let open = "SELECT count(*) FROM flows WHERE workflow_id = ? AND ended_at IS NULL";
        let open: i64 =
            sqlx::query_scalar(open).bind(write.workflow_id.as_str()).fetch_one(connection).await?;
        Ok(open == 1)
    }

    /// Ends the flow if the write says so.
    async fn end(&self, connection: &mut SqliteConnection, write: &JournalWrite) -> Result<(), sqlx::Error> {
        let Some(outcome) = &write.outcome else { return Ok(()) };
        let end = "UPDATE flows SET ended_at = ?, outcome = ? WHERE workflow_id = ?";
        let query = sqlx::query(end).bind(write.at.millis()).bind(outcome.to_string());
        query.bind(write.workflow_id.as_str()).execute(connection).await.map(drop)
    }

    async fn append(&self, connection: &mut SqliteConnection, entries: &[Entry]) -> Result<(), Failure> {
        for part in entries.chunks(Script::MAX_ROWS) {
            let bound = self.entries.bind(part.len(), &mut [&mut part.iter().flatten()])?;
            bound.run(connection).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        connection: &mut SqliteConnection,
        messages: &[OutboxMessage],
    ) -> Result<(), Failure> {
        let rows: Vec<[Cell; MESSAGE.len()]> = messages.iter().map(message_row).collect();
        for part in rows.chunks(Script::MAX_ROWS) {
            let bound = self.messages.bind(part.len(), &mut [&mut part.iter().flatten()])?;
            bound.run(connection).await?;
        }
        Ok(())
    }

    /// The usual batch: entries of open flows, which end none of them. Three hops at most, whatever its size, and one
    /// when there is no message. False, and nothing written, when some flow was not open.
    async fn append_all(
        &self,
        connection: &mut SqliteConnection,
        writes: &[&JournalWrite],
        messages: &[OutboxMessage],
    ) -> Result<bool, Failure> {
        let rows: Vec<Entry> = writes.iter().flat_map(|write| entry_rows(write)).collect();
        if messages.is_empty() && writes.len() == 1 && rows.len() <= Script::MAX_ROWS {
            let bound = self.only_entries.bind(rows.len(), &mut [&mut rows.iter().flatten()])?;
            // Begin, insert, commit: what fails after the first two is the commit. An insert into a flow that is not
            // open inserts nothing, so there is nothing to undo then.
            let done = bound.run(connection).await.map_err(|broken| match broken.done {
                2 => Failure::Commit(broken.error),
                _ => Failure::Before(broken.error),
            })?;
            return Ok(done.get(1).is_some_and(|insert| insert.rows_affected() == rows.len() as u64));
        }
        let mut script = &self.open_entries;
        for part in rows.chunks(Script::MAX_ROWS) {
            let bound = script.bind(part.len(), &mut [&mut part.iter().flatten()])?;
            script = &self.entries;
            let done = bound.run(connection).await?;
            if done.last().is_none_or(|insert| insert.rows_affected() != part.len() as u64) {
                writer::roll_back(connection).await?;
                return Ok(false);
            }
        }
        self.publish(connection, messages).await?;
        writer::commit(connection).await?;
        Ok(true)
    }

    /// One operation after the other.
    async fn write_each(
        &self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Vec<Answer>, Failure> {
        writer::begin(connection).await?;
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(match operation {
                Operation::Open(flow) => Answer::Opened(self.open(connection, flow).await?),
                Operation::Append(write) if self.is_open(connection, write).await? => {
                    let rows: Vec<Entry> = entry_rows(write).collect();
                    self.append(connection, &rows).await?;
                    self.publish(connection, &write.messages).await?;
                    self.end(connection, write).await?;
                    Answer::Appended
                }
                Operation::Append(_) => Answer::NotOpen,
                Operation::Publish(messages) => {
                    self.publish(connection, messages).await?;
                    Answer::Appended
                }
            });
        }
        writer::commit(connection).await?;
        Ok(answers)
    }
}

/// Journal rows of flows that are open; of others, none.
fn entries() -> Shape {
    let columns = ENTRY.join(",");
    Shape {
        before: format!(
            "INSERT INTO flow_journal ({columns}) SELECT v.column1, v.column2, v.column3, v.column4 FROM"
        ),
        columns: ENTRY.len(),
        // A cross join keeps the order of the rows: the table of rows is the outer loop.
        after: "AS v CROSS JOIN flows WHERE flows.workflow_id = v.column1 AND flows.ended_at IS NULL"
            .to_owned(),
    }
}

/// The writes and messages of a batch that opens no flow, ends none, and asks about none without writing to it.
fn usual(operations: &[Operation]) -> Option<(Vec<&JournalWrite>, Vec<OutboxMessage>)> {
    let mut writes = Vec::with_capacity(operations.len());
    let mut messages = Vec::new();
    for operation in operations {
        match operation {
            Operation::Append(write) if write.outcome.is_none() && !write.entries.is_empty() => {
                messages.extend_from_slice(&write.messages);
                writes.push(write);
            }
            Operation::Publish(more) => messages.extend_from_slice(more),
            Operation::Open(_) | Operation::Append(_) => return None,
        }
    }
    (!writes.is_empty()).then_some((writes, messages))
}

impl Batch for Store {
    type Engine = Sqlite;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Vec<Answer>;

    fn weight(operation: &Operation) -> usize {
        operation.weight()
    }

    async fn commit(
        &mut self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Vec<Answer>, Failure> {
        if let Some((writes, messages)) = usual(operations)
            && self.append_all(connection, &writes, &messages).await?
        {
            return Ok(operations.iter().map(|_| Answer::Appended).collect());
        }
        self.write_each(connection, operations).await
    }

    async fn prune(
        &mut self,
        connection: &mut SqliteConnection,
        after: i64,
        before: i64,
    ) -> Result<Pruned, sqlx::Error> {
        super::PRUNING.run::<Sqlite>(connection, after, before).await
    }

    fn committed(&mut self, _operations: Vec<Operation>, answers: Vec<Answer>) -> Vec<Answer> {
        answers
    }
}
