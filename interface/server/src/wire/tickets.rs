//! The ticket context.

use std::sync::Arc;

use hive_application::tickets::Tickets;
use hive_sql::TicketDatabase;

use super::Ground;
use crate::telemetry::tickets::Measured;

/// The context on its database.
pub(super) fn context(database: &TicketDatabase, ground: &Ground) -> Tickets {
    let repository = Arc::new(Measured::new(database.repository()));
    Tickets::new(repository, database.log(), Arc::clone(&ground.clock))
}
