//! The registry context.

use std::sync::Arc;

use hive_application::registry::Registry;
use hive_domain::registry::LeaseTerms;
use hive_sql::RegistryDatabase;

use super::Ground;
use crate::telemetry::registry::Measured;

/// The context on its database.
pub(super) fn context(database: &RegistryDatabase, ground: &Ground, terms: LeaseTerms) -> Registry {
    let (clock, ids) = (Arc::clone(&ground.clock), Arc::clone(&ground.ids));
    Registry::observed(database.repository(), clock, ids, terms, Arc::new(Measured::new()))
}
