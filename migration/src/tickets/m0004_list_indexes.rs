//! Indexes that lead to a page of a list in its order, whatever it is filtered by: without that order a page costs as much
//! as everything that the filter lets through.

use sea_orm_migration::prelude::*;

use crate::columns::index;

const TABLE: &str = "execution_tickets";

#[derive(DeriveMigrationName)]
pub(super) struct Step;

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["idx_intent_id", "idx_status_priority", "idx_worker_status"] {
            let mut drop = Index::drop();
            drop.table(TABLE).name(name);
            manager.drop_index(drop).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn indexes() -> [IndexCreateStatement; 5] {
    let order =
        |name, columns: &[&'static str]| index(TABLE, name, &[columns, &["created_at", "id"]].concat());
    // A new ticket has no worker, and costs no entry.
    let of_worker =
        |name, columns| order(name, columns).cond_where(Expr::col("assigned_worker").is_not_null()).take();
    [
        order("idx_intent_id", &["intent_id"]),
        order("idx_priority", &["priority"]),
        order("idx_status_priority", &["status", "priority"]),
        of_worker("idx_worker", &["assigned_worker"]),
        of_worker("idx_worker_status", &["assigned_worker", "status"]),
    ]
}
