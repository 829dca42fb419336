//! What happened to each ticket.

use sea_orm_migration::prelude::*;

use crate::columns::{bigint, instant, json, serial, text, unique, varchar, varchar_null};

const TABLE: &str = "ticket_history";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(serial("id"))
            .col(bigint("ticket"))
            .col(bigint("version"))
            .col(varchar("action", 32))
            .col(varchar_null("old_status", 20))
            .col(varchar("new_status", 20))
            .col(text("changed_by"))
            .col(instant("at"))
            .col(json("metadata").default("{}"))
            .take();
        manager.create_table(table).await?;
        // One version, one event. The index is over the number of the ticket's row, not over its id: ids are spread
        // at random, and so would be the pages that every change writes.
        manager.create_index(unique(TABLE, "uq_ticket_event", &["ticket", "version"])).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
