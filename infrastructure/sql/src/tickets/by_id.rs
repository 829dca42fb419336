//! Reading one ticket by its id, the read that callers make most. It is an sqlx statement whose text is always the same and
//! whose columns are taken by their place: building the statement and finding 41 columns by name takes longer than SQLite
//! takes to find the row.

use std::sync::Arc;

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr};
use sqlx::{AssertSqlSafe, Row as _};

use super::entity::ticket::Model;

/// The columns in the order of [`Model`], JSON as its text.
const COLUMNS: &str = "id, ticket_id, plan_id, intent_id, decision_id, correlation_id, trace_id, span_id, task_id, \
    task_type, description, CAST(dependencies AS text), priority, risk_band, CAST(sla AS text), CAST(qos \
    AS text), CAST(parameters AS text), CAST(required_capabilities AS text), security_level, created_at, \
    estimated_duration_ms, CAST(predictions AS text), schema_version, hash, status, CAST(metadata AS \
    text), assigned_worker, CAST(allocation AS text), agent_id, epoch, dispatched_at, not_before, \
    started_at, completed_at, actual_duration_ms, retry_count, retryable, error_message, \
    compensation_ticket_id, version, updated_at";

/// A row of [`COLUMNS`], of either engine.
macro_rules! model {
    ($row:expr) => {{
        let row = &$row;
        let read = || {
            Ok(Model {
                id: row.try_get(0)?,
                ticket_id: row.try_get(1)?,
                plan_id: row.try_get(2)?,
                intent_id: row.try_get(3)?,
                decision_id: row.try_get(4)?,
                correlation_id: row.try_get(5)?,
                trace_id: row.try_get(6)?,
                span_id: row.try_get(7)?,
                task_id: row.try_get(8)?,
                task_type: row.try_get(9)?,
                description: row.try_get(10)?,
                dependencies: row.try_get(11)?,
                priority: row.try_get(12)?,
                risk_band: row.try_get(13)?,
                sla: row.try_get(14)?,
                qos: row.try_get(15)?,
                parameters: row.try_get(16)?,
                required_capabilities: row.try_get(17)?,
                security_level: row.try_get(18)?,
                created_at: row.try_get(19)?,
                estimated_duration_ms: row.try_get(20)?,
                predictions: row.try_get(21)?,
                schema_version: row.try_get(22)?,
                hash: row.try_get(23)?,
                status: row.try_get(24)?,
                metadata: row.try_get(25)?,
                assigned_worker: row.try_get(26)?,
                allocation: row.try_get(27)?,
                agent_id: row.try_get(28)?,
                epoch: row.try_get(29)?,
                dispatched_at: row.try_get(30)?,
                not_before: row.try_get(31)?,
                started_at: row.try_get(32)?,
                completed_at: row.try_get(33)?,
                actual_duration_ms: row.try_get(34)?,
                retry_count: row.try_get(35)?,
                retryable: row.try_get(36)?,
                error_message: row.try_get(37)?,
                compensation_ticket_id: row.try_get(38)?,
                version: row.try_get(39)?,
                updated_at: row.try_get(40)?,
            })
        };
        read()
    }};
}

/// The statements.
#[derive(Debug)]
pub(super) struct ById {
    sqlite: Arc<str>,
    postgres: Arc<str>,
}

impl ById {
    pub(super) fn new() -> Self {
        let text = |mark| format!("SELECT {COLUMNS} FROM execution_tickets WHERE ticket_id = {mark}").into();
        ById { sqlite: text("?"), postgres: text("$1") }
    }

    /// The row of a ticket, if there is one.
    pub(super) async fn find(&self, database: &DatabaseConnection, id: &str) -> Result<Option<Model>, DbErr> {
        let found: Result<Option<Model>, sqlx::Error> = match database.get_database_backend() {
            DbBackend::Postgres => {
                let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.postgres))).bind(id);
                let row = query.fetch_optional(database.get_postgres_connection_pool()).await;
                row.and_then(|row| row.map(|row| model!(row)).transpose())
            }
            _ => {
                let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.sqlite))).bind(id);
                let row = query.fetch_optional(database.get_sqlite_connection_pool()).await;
                row.and_then(|row| row.map(|row| model!(row)).transpose())
            }
        };
        found.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error))))
    }
}
