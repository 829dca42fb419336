//! Agents: one record each, kept for a while after the agent retired so that its epoch goes on.

use sea_orm_migration::prelude::*;

use crate::columns::{bigint, by_code_point, index, instant, instant_null, int, json, varchar};

const TABLE: &str = "agents";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(by_code_point(manager, varchar("agent_id", 255).primary_key().take()))
            .col(varchar("agent_type", 20))
            .col(json("capabilities"))
            .col(json("metadata"))
            .col(ColumnDef::new("success_rate").double().not_null())
            .col(bigint("avg_duration_ms"))
            .col(bigint("total_executions"))
            .col(bigint("failed_executions"))
            .col(bigint("last_execution_at"))
            .col(varchar("status", 20))
            .col(instant("registered_at"))
            .col(instant("last_seen"))
            .col(varchar("namespace", 255))
            .col(varchar("cluster", 255))
            .col(varchar("version", 255))
            .col(int("schema_version"))
            .col(bigint("epoch"))
            .col(ColumnDef::new("token_hash").var_binary(32).not_null())
            .col(instant_null("expired_at"))
            .col(instant_null("retired_at"))
            .col(bigint("revision"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(index(TABLE, "idx_agent_type", &["agent_type", "agent_id"])).await?;
        manager.create_index(index(TABLE, "idx_agent_retired", &["retired_at"])).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
