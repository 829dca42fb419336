//! Messages to the outside, kept until they are delivered.

use sea_orm_migration::prelude::*;

use crate::columns::{instant, json, outbox_base, record, unique, varchar};

const TABLE: &str = "orchestration_outbox";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(record(manager, "id"))
            .col(varchar("message_id", 255))
            .col(varchar("topic", 255))
            .col(varchar("key", 255))
            .col(json("payload"))
            .col(instant("at"))
            .take();
        manager.create_table(table).await?;
        manager.create_index(unique(TABLE, "uq_message_id", &["message_id"])).await?;
        outbox_base(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
