//! The ticket context.

use std::sync::Arc;

use hive_application::tickets::Tickets;
use hive_sql::TicketDatabase;

use super::Ground;

/// The context on its database.
pub(super) fn context(database: &TicketDatabase, ground: &Ground) -> Tickets {
    Tickets::new(database.repository(), database.log(), Arc::clone(&ground.clock))
}
