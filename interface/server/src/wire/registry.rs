//! The registry context.

use std::sync::Arc;

use hive_application::registry::Registry;
use hive_domain::registry::LeaseTerms;

use super::Ground;
use super::stores::Stores;

/// The context on its database.
pub(super) fn context(stores: &Stores, ground: &Ground, terms: LeaseTerms) -> Registry {
    Registry::new(stores.registry.repository(), Arc::clone(&ground.clock), Arc::clone(&ground.ids), terms)
}
