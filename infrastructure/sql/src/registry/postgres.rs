//! Agent writes as a batch of the writer on PostgreSQL.

use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult};
use sqlx::{AssertSqlSafe, Executor, Postgres};

use super::mapping::COLUMNS;
use super::operation::{Answer, Operation};
use crate::engine::postgres::{answered, committed};
use crate::engine::rows::{self, Column, Form, Kind};
use crate::statement::Cell;
use crate::writer::{Batch, Failure};

/// What the columns of agents hold.
fn kind(column: &str) -> Kind {
    match column {
        "capabilities" | "metadata" => Kind::Json,
        "success_rate" => Kind::Real,
        "schema_version" => Kind::Int,
        "token_hash" => Kind::Bytes,
        "revision" | "avg_duration_ms" | "total_executions" | "failed_executions" | "last_execution_at"
        | "registered_at" | "last_seen" | "epoch" | "expired_at" | "retired_at" => Kind::Long,
        _ => Kind::Text,
    }
}

/// The statements of this database.
#[derive(Debug)]
pub(super) struct Store {
    insert: String,
    replace: String,
}

fn columns() -> Vec<Column> {
    COLUMNS.iter().map(|column| (*column, kind(column))).collect()
}

impl Store {
    pub(super) fn new() -> Self {
        let names = COLUMNS.join(", ");
        let row = rows::table("a", &columns(), "", Form::Single, &mut 0);
        let insert = format!(
            "WITH {row} INSERT INTO agents ({names}) SELECT {names} FROM a ON CONFLICT (agent_id) DO NOTHING"
        );
        let set: Vec<String> = COLUMNS[1..].iter().map(|column| format!("{column} = a.{column}")).collect();
        let replace = format!(
            "WITH {row} UPDATE agents SET {} FROM a WHERE agents.agent_id = a.agent_id AND agents.revision = ${}",
            set.join(", "),
            COLUMNS.len() + 1
        );
        Store { insert, replace }
    }

    /// Runs one operation.
    async fn write(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
    ) -> Result<Answer, sqlx::Error> {
        let wrote_one = |done: &PgQueryResult| Answer::Written(done.rows_affected() == 1);
        match operation {
            Operation::Insert(row) => {
                let query = sqlx::query_with(AssertSqlSafe(self.insert.as_str()), arguments(row)?);
                Ok(wrote_one(&query.execute(connection).await?))
            }
            Operation::Replace { expected, row } => {
                let query = sqlx::query_with(AssertSqlSafe(self.replace.as_str()), arguments(row)?);
                Ok(wrote_one(&query.bind(expected.cast_signed()).execute(connection).await?))
            }
            Operation::Forget { retired_before, limit } => {
                let delete = "DELETE FROM agents WHERE agent_id IN \
                    (SELECT agent_id FROM agents WHERE retired_at < $1 ORDER BY retired_at LIMIT $2)";
                let query = sqlx::query(delete).bind(retired_before.millis());
                let query = query.bind(i64::try_from(*limit).unwrap_or(i64::MAX));
                Ok(Answer::Forgotten(query.execute(connection).await?.rows_affected()))
            }
        }
    }
}

fn arguments(row: &[Cell]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    rows::bind(&mut arguments, &columns(), Form::Single, 1, |_, at| &row[at])?;
    Ok(arguments)
}

impl Batch for Store {
    type Engine = Postgres;
    type Operation = Operation;
    type Answer = Answer;
    type Outcome = Vec<Answer>;

    async fn commit(
        &mut self,
        connection: &mut PgConnection,
        operations: &[Operation],
    ) -> Result<Vec<Answer>, Failure> {
        if let [operation] = operations {
            return Ok(vec![committed(self.write(connection, operation)).await?]);
        }
        answered(connection.execute("BEGIN")).await?;
        // Rows are locked in one order whoever writes them, and those of one agent keep theirs.
        let mut order: Vec<(usize, &Operation)> = operations.iter().enumerate().collect();
        order.sort_by_key(|(_, operation)| operation.agent());
        let mut answers = Vec::with_capacity(operations.len());
        for (place, operation) in order {
            answers.push((place, answered(self.write(&mut *connection, operation)).await?));
        }
        committed(connection.execute("COMMIT")).await?;
        answers.sort_unstable_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    fn committed(&mut self, _operations: Vec<Operation>, answers: Vec<Answer>) -> Vec<Answer> {
        answers
    }
}
