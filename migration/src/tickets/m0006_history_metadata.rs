//! Nothing ever told more of an event than its own columns do: the column for it goes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut history = Table::alter();
        history.table("ticket_history").drop_column("metadata");
        manager.alter_table(history).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
