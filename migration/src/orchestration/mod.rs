//! The orchestration context's schema.

mod m0001_flows;
mod m0002_orchestration_outbox;
mod m0003_outbox_floor;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The steps of the orchestration schema, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Schema;

impl MigratorTrait for Schema {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_flows::Step),
            Box::new(m0002_orchestration_outbox::Step),
            Box::new(m0003_outbox_floor::Step),
        ]
    }
}
