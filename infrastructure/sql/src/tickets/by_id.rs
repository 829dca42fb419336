//! Reading one ticket by its id, the read that callers make most. Its text is always the same and its columns are taken by
//! their place: building the statement and finding 41 columns by name takes longer than finding the row.

use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sqlx::Row as _;

use super::entity::ticket::Model;

/// Reads a row by the id that is its only parameter: the columns in the order of [`Model`], JSON as its text.
pub(super) const STATEMENT: &str = "SELECT id, ticket_id, plan_id, intent_id, decision_id, correlation_id, trace_id, \
    span_id, task_id, task_type, description, CAST(dependencies AS text), priority, risk_band, CAST(sla AS text), \
    CAST(qos AS text), CAST(parameters AS text), CAST(required_capabilities AS text), security_level, created_at, \
    estimated_duration_ms, CAST(predictions AS text), schema_version, hash, status, CAST(metadata AS text), \
    assigned_worker, CAST(allocation AS text), agent_id, epoch, dispatched_at, not_before, started_at, completed_at, \
    actual_duration_ms, retry_count, retryable, error_message, compensation_ticket_id, version, updated_at \
    FROM execution_tickets WHERE ticket_id = $1";

/// The model in a row of either driver, whose method `get` takes a column by its place.
macro_rules! model {
    ($row:expr, $get:ident) => {{
        let row = $row;
        Ok(Model {
            id: row.$get(0)?,
            ticket_id: row.$get(1)?,
            plan_id: row.$get(2)?,
            intent_id: row.$get(3)?,
            decision_id: row.$get(4)?,
            correlation_id: row.$get(5)?,
            trace_id: row.$get(6)?,
            span_id: row.$get(7)?,
            task_id: row.$get(8)?,
            task_type: row.$get(9)?,
            description: row.$get(10)?,
            dependencies: row.$get(11)?,
            priority: row.$get(12)?,
            risk_band: row.$get(13)?,
            sla: row.$get(14)?,
            qos: row.$get(15)?,
            parameters: row.$get(16)?,
            required_capabilities: row.$get(17)?,
            security_level: row.$get(18)?,
            created_at: row.$get(19)?,
            estimated_duration_ms: row.$get(20)?,
            predictions: row.$get(21)?,
            schema_version: row.$get(22)?,
            hash: row.$get(23)?,
            status: row.$get(24)?,
            metadata: row.$get(25)?,
            assigned_worker: row.$get(26)?,
            allocation: row.$get(27)?,
            agent_id: row.$get(28)?,
            epoch: row.$get(29)?,
            dispatched_at: row.$get(30)?,
            not_before: row.$get(31)?,
            started_at: row.$get(32)?,
            completed_at: row.$get(33)?,
            actual_duration_ms: row.$get(34)?,
            retry_count: row.$get(35)?,
            retryable: row.$get(36)?,
            error_message: row.$get(37)?,
            compensation_ticket_id: row.$get(38)?,
            version: row.$get(39)?,
            updated_at: row.$get(40)?,
        })
    }};
}
pub(super) use model;

/// The row of a ticket on PostgreSQL, if there is one.
pub(super) async fn find(database: &DatabaseConnection, id: &str) -> Result<Option<Model>, DbErr> {
    let row = sqlx::query(STATEMENT).bind(id).fetch_optional(database.get_postgres_connection_pool()).await;
    let read = |row: Option<sqlx::postgres::PgRow>| {
        row.map(|row| -> Result<Model, sqlx::Error> { model!(&row, try_get) }).transpose()
    };
    row.and_then(read).map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
}
