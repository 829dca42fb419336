//! The ticket context.

use std::sync::Arc;

use hive_application::tickets::Tickets;

use super::Ground;
use super::stores::Stores;

/// The context on its database.
pub(super) fn context(stores: &Stores, ground: &Ground) -> Tickets {
    Tickets::new(stores.tickets.repository(), stores.tickets.log(), Arc::clone(&ground.clock))
}
