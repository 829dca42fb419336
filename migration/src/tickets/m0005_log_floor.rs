//! How far the log was pruned, and when each reader last remembered its place: one that is gone must not keep the log for
//! ever.

use sea_orm_migration::prelude::*;

use crate::columns::{instant, outbox_floor};

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        outbox_floor(manager).await?;
        let mut offsets = Table::alter();
        offsets.table("log_offsets").add_column(instant("at").default(0_i64));
        manager.alter_table(offsets).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
