//! The orchestration context, its neighbours in the same process.

use std::sync::Arc;

use hive_application::orchestration::{Config, Dependencies, FlowObserver, Orchestration};
use hive_application::registry::Registry;
use hive_application::tickets::Tickets;
use hive_peers::in_process::{RegistryPeer, TicketPeer};

use super::Ground;
use super::stores::Stores;
use crate::telemetry::orchestration::{MeasuredAgents, MeasuredJournal, MeasuredTickets};

/// The context on its database.
pub(super) fn context(
    stores: &Stores,
    ground: &Ground,
    tickets: &Tickets,
    registry: &Registry,
    observer: Arc<dyn FlowObserver>,
    config: Config,
) -> Orchestration {
    let dependencies = Dependencies {
        journal: Arc::new(MeasuredJournal::new(stores.orchestration.journal())),
        tickets: Arc::new(MeasuredTickets::new(Arc::new(TicketPeer::new(tickets.clone())))),
        agents: Arc::new(MeasuredAgents::new(Arc::new(RegistryPeer::new(registry.clone())))),
        clock: Arc::clone(&ground.clock),
        timer: Arc::clone(&ground.timer),
        ids: Arc::clone(&ground.ids),
        observer,
    };
    Orchestration::new(dependencies, config)
}
