//! How far the outbox was pruned.

use sea_orm_migration::prelude::*;

use crate::columns::outbox_floor;

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        outbox_floor(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
