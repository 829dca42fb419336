//! Flows, and the journal of each.

use sea_orm_migration::prelude::*;

use crate::columns::{bigint, index, instant, instant_null, json, json_null, serial, unique, varchar};

const FLOWS: &str = "flows";
const JOURNAL: &str = "flow_journal";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let flows = Table::create()
            .table(FLOWS)
            .col(varchar("workflow_id", 64).primary_key())
            .col(varchar("plan_id", 36))
            .col(varchar("plan_hash", 64))
            .col(json("plan"))
            .col(bigint("sla_default_timeout_ms"))
            .col(bigint("sla_min_timeout_ms"))
            .col(ColumnDef::new("sla_timeout_multiplier").double().not_null())
            .col(instant("opened_at"))
            .col(instant_null("ended_at"))
            .col(json_null("outcome"))
            .take();
        manager.create_table(flows).await?;
        manager.create_index(unique(FLOWS, "uq_flow_plan", &["plan_id"])).await?;
        manager.create_index(index(FLOWS, "idx_flow_ended", &["ended_at", "opened_at"])).await?;

        let journal = Table::create()
            .table(JOURNAL)
            .col(serial("id"))
            .col(varchar("workflow_id", 64))
            .col(varchar("kind", 64))
            .col(json("payload"))
            .col(instant("at"))
            .take();
        manager.create_table(journal).await?;
        manager.create_index(index(JOURNAL, "idx_journal_flow", &["workflow_id", "id"])).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
