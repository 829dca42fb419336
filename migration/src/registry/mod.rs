//! The registry context's schema.

mod m0001_agents;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The steps of the registry schema, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Schema;

impl MigratorTrait for Schema {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_agents::Step)]
    }
}
