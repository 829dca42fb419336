//! The outbox that is read as a log, and how far each reader came.

use sea_orm_migration::prelude::*;

use crate::columns::{bigint, index, instant, outbox_base, record, text, varchar, varchar_null};

const OUTBOX: &str = "ticket_outbox";
const OFFSETS: &str = "log_offsets";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let outbox = Table::create()
            .table(OUTBOX)
            .col(record(manager, "id"))
            .col(varchar("ticket_id", 36))
            .col(varchar("plan_id", 36))
            .col(varchar("action", 32))
            .col(varchar_null("agent", 255))
            .col(instant("at"))
            .col(text("payload"))
            .take();
        manager.create_table(outbox).await?;
        // None by agent: agents follow the end of the log, where a scan is short, and every change would pay for it.
        manager.create_index(index(OUTBOX, "idx_outbox_plan", &["plan_id", "id"])).await?;
        let offsets = Table::create()
            .table(OFFSETS)
            .col(varchar("consumer", 512).primary_key())
            .col(bigint("position"))
            .take();
        manager.create_table(offsets).await?;
        outbox_base(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
