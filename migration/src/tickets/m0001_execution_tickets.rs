//! The ticket table: the columns of the ticket schema, then those that only this service has.

use sea_orm_migration::prelude::*;

use crate::columns::{
    bigint, bigint_null, index, instant, instant_null, int, json, json_null, serial, text, text_null, unique,
    varchar, varchar_null,
};

const TABLE: &str = "execution_tickets";

/// The six words of the ticket schema, then the two that only storage knows.
const STATUSES: [&str; 8] =
    ["PENDING", "RUNNING", "COMPLETED", "FAILED", "COMPENSATING", "COMPENSATED", "CANCELLED", "PREEMPTED"];

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(table()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn table() -> TableCreateStatement {
    let mut table = Table::create();
    table.table(TABLE).col(serial("id"));
    asked(&mut table);
    progress(&mut table);
    table
        .check(("chk_status", Expr::col("status").is_in(STATUSES)))
        .check(("chk_retry_count", Expr::col("retry_count").gte(0)))
        .check((
            "chk_completed_after_started",
            Expr::col("completed_at")
                .is_null()
                .or(Expr::col("started_at").is_null())
                .or(Expr::col("completed_at").gte(Expr::col("started_at"))),
        ))
        .take()
}

/// What the ticket asks for.
fn asked(table: &mut TableCreateStatement) {
    table
        .col(varchar("ticket_id", 36))
        .col(varchar("plan_id", 36))
        .col(varchar("intent_id", 36))
        .col(varchar("decision_id", 36))
        .col(varchar_null("correlation_id", 36))
        .col(varchar_null("trace_id", 64))
        .col(varchar_null("span_id", 32))
        .col(varchar("task_id", 255))
        .col(varchar("task_type", 20))
        .col(text("description"))
        .col(json("dependencies").default("[]"))
        .col(varchar("priority", 20))
        .col(varchar("risk_band", 20))
        .col(json("sla"))
        .col(json("qos"))
        .col(json("parameters").default("{}"))
        .col(json("required_capabilities").default("[]"))
        .col(varchar("security_level", 20))
        .col(instant("created_at"))
        .col(bigint_null("estimated_duration_ms"))
        .col(json_null("predictions"))
        .col(int("schema_version").default(1))
        .col(varchar_null("hash", 64));
}

/// How far the ticket is.
fn progress(table: &mut TableCreateStatement) {
    table
        .col(varchar("status", 20).default("PENDING"))
        .col(json("metadata").default("{}"))
        .col(varchar_null("assigned_worker", 255))
        .col(json_null("allocation"))
        .col(varchar_null("agent_id", 255))
        .col(bigint_null("epoch"))
        .col(instant_null("dispatched_at"))
        .col(instant_null("not_before"))
        .col(instant_null("started_at"))
        .col(instant_null("completed_at"))
        .col(bigint_null("actual_duration_ms"))
        .col(int("retry_count").default(0))
        .col(ColumnDef::new("retryable").boolean().null())
        .col(text_null("error_message"))
        .col(varchar_null("compensation_ticket_id", 36))
        .col(bigint("version"))
        .col(instant("updated_at"));
}

/// Those of the ticket schema by their names; where lists are paged by creation, the order of the pages is appended.
fn indexes() -> [IndexCreateStatement; 7] {
    [
        unique(TABLE, "uq_ticket_id", &["ticket_id"]),
        index(TABLE, "idx_plan_id", &["plan_id", "created_at", "id"]),
        index(TABLE, "idx_intent_id", &["intent_id"]),
        index(TABLE, "idx_status", &["status", "created_at", "id"]),
        index(TABLE, "idx_created_at", &["created_at", "id"]),
        index(TABLE, "idx_status_priority", &["status", "priority"]),
        index(TABLE, "idx_worker_status", &["assigned_worker", "status"]),
    ]
}
