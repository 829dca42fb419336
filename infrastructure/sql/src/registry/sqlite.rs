//! Agent writes as a batch of the writer on SQLite.

use sqlx::Sqlite;
use sqlx::sqlite::{SqliteConnection, SqliteQueryResult};

use super::mapping::COLUMNS;
use super::operation::{Answer, Operation};
use crate::statement::{Cell, Script, Shape};
use crate::writer::{self, Batch, Failure};

/// The statements of this database.
#[derive(Debug)]
pub(super) struct Store {
    insert: Script,
    replace: Script,
}

impl Store {
    pub(super) fn new() -> Self {
        let insert = Shape::insert("agents", &COLUMNS, "ON CONFLICT (agent_id) DO NOTHING");
        let replace = Shape::update("agents", "agent_id", "revision", &COLUMNS[1..]);
        Store { insert: Script::new("", &[insert], ""), replace: Script::new("", &[replace], "") }
    }
}

fn wrote_one(results: &[SqliteQueryResult]) -> bool {
    results.last().is_some_and(|result| result.rows_affected() == 1)
}

impl Batch for Store {
    type Engine = Sqlite;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Vec<Answer>;

    async fn commit(
        &mut self,
        connection: &mut SqliteConnection,
        operations: &[Operation],
    ) -> Result<Vec<Answer>, Failure> {
        writer::begin(connection).await?;
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(match operation {
                Operation::Insert(row) => {
                    let bound = self.insert.bind(1, &mut [&mut row.iter()])?;
                    Answer::Written(wrote_one(&bound.run(connection).await?))
                }
                Operation::Replace { expected, row } => {
                    // Which row, then what it becomes.
                    let key = [row[0].clone(), Cell::from(*expected)];
                    let bound = self.replace.bind(1, &mut [&mut key.iter().chain(&row[1..])])?;
                    Answer::Written(wrote_one(&bound.run(connection).await?))
                }
                Operation::Forget { retired_before, limit } => {
                    let delete = "DELETE FROM agents WHERE agent_id IN \
                        (SELECT agent_id FROM agents WHERE retired_at < ? ORDER BY retired_at LIMIT ?)";
                    let deleted = sqlx::query(delete)
                        .bind(retired_before.millis())
                        .bind(i64::try_from(*limit).unwrap_or(i64::MAX))
                        .execute(&mut *connection)
                        .await?;
                    Answer::Forgotten(deleted.rows_affected())
                }
            });
        }
        writer::commit(connection).await?;
        Ok(answers)
    }

    fn committed(&mut self, _operations: Vec<Operation>, answers: Vec<Answer>) -> Vec<Answer> {
        answers
    }
}
