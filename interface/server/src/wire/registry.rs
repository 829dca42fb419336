//! The registry context.

use std::sync::Arc;

use hive_application::registry::Registry;
use hive_domain::registry::LeaseTerms;

use super::Ground;
use super::stores::Stores;
use crate::telemetry::registry::Measured;

/// The context on its database.
pub(super) fn context(stores: &Stores, ground: &Ground, terms: LeaseTerms) -> Registry {
    let (clock, ids) = (Arc::clone(&ground.clock), Arc::clone(&ground.ids));
    Registry::observed(stores.registry.repository(), clock, ids, terms, Arc::new(Measured::new()))
}
