//! The orchestration context.

use std::sync::Arc;

use hive_application::orchestration::{Config, Dependencies, FlowObserver, Orchestration};
use hive_sql::OrchestrationDatabase;

use super::Ground;
use super::neighbours::Neighbours;
use crate::telemetry::orchestration::{MeasuredAgents, MeasuredJournal, MeasuredTickets};

/// The context on its database, with its neighbours.
pub(super) fn context(
    database: &OrchestrationDatabase,
    ground: &Ground,
    neighbours: &Neighbours,
    observer: Arc<dyn FlowObserver>,
    config: Config,
) -> Orchestration {
    let dependencies = Dependencies {
        journal: Arc::new(MeasuredJournal::new(database.journal())),
        tickets: Arc::new(MeasuredTickets::new(Arc::clone(&neighbours.gateway))),
        agents: Arc::new(MeasuredAgents::new(Arc::clone(&neighbours.directory))),
        clock: Arc::clone(&ground.clock),
        timer: Arc::clone(&ground.timer),
        ids: Arc::clone(&ground.ids),
        observer,
    };
    Orchestration::new(dependencies, config)
}
