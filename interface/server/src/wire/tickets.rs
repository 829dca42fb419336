//! The ticket context.

use std::sync::Arc;

use hive_application::tickets::Tickets;

use super::Ground;
use super::stores::Stores;
use crate::telemetry::tickets::Measured;

/// The context on its database.
pub(super) fn context(stores: &Stores, ground: &Ground) -> Tickets {
    let repository = Arc::new(Measured::new(stores.tickets.repository()));
    Tickets::new(repository, stores.tickets.log(), Arc::clone(&ground.clock))
}
