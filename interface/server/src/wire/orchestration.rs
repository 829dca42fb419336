//! The orchestration context.

use std::sync::Arc;

use hive_application::orchestration::{Config, Dependencies, FlowObserver, Orchestration};
use hive_sql::OrchestrationDatabase;

use super::Ground;
use super::neighbours::Neighbours;

/// The context on its database, with its neighbours.
pub(super) fn context(
    database: &OrchestrationDatabase,
    ground: &Ground,
    neighbours: &Neighbours,
    observer: Arc<dyn FlowObserver>,
    config: Config,
) -> Orchestration {
    let dependencies = Dependencies {
        journal: database.journal(),
        tickets: Arc::clone(&neighbours.gateway),
        agents: Arc::clone(&neighbours.directory),
        clock: Arc::clone(&ground.clock),
        timer: Arc::clone(&ground.timer),
        ids: Arc::clone(&ground.ids),
        observer,
    };
    Orchestration::new(dependencies, config)
}
