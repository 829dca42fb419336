//! The registry context.

use std::sync::Arc;

use hive_application::registry::Registry;
use hive_domain::registry::LeaseTerms;
use hive_sql::RegistryDatabase;

use super::Ground;

/// The context on its database.
pub(super) fn context(database: &RegistryDatabase, ground: &Ground, terms: LeaseTerms) -> Registry {
    Registry::new(database.repository(), Arc::clone(&ground.clock), Arc::clone(&ground.ids), terms)
}
