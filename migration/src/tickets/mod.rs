//! The ticket context's schema.

mod m0001_execution_tickets;
mod m0002_ticket_history;
mod m0003_ticket_outbox;
mod m0004_list_indexes;
mod m0005_log_floor;
mod m0006_history_metadata;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The steps of the ticket schema, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Schema;

impl MigratorTrait for Schema {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_execution_tickets::Step),
            Box::new(m0002_ticket_history::Step),
            Box::new(m0003_ticket_outbox::Step),
            Box::new(m0004_list_indexes::Step),
            Box::new(m0005_log_floor::Step),
            Box::new(m0006_history_metadata::Step),
        ]
    }
}
