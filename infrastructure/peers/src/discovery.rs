//! What orchestration means when it looks for agents, in the registry's words.

use std::collections::BTreeMap;

use hive_application::error::Error;
use hive_application::orchestration::AgentQuery;
use hive_domain::registry::public::AgentSnapshot;

/// Workers that may get work, in the namespace asked for.
pub(crate) fn filters(query: &AgentQuery) -> BTreeMap<String, String> {
    let mut filters = BTreeMap::from([
        ("agent_type".to_owned(), "WORKER".to_owned()),
        ("status".to_owned(), "HEALTHY".to_owned()),
    ]);
    filters.extend(query.namespace.iter().map(|namespace| ("namespace".to_owned(), namespace.clone())));
    filters
}

/// A capability that no agent may announce is one that no agent has.
pub(crate) fn nobody(error: Error) -> Result<Vec<AgentSnapshot>, Error> {
    let unspeakable = error.field().is_some_and(|field| field.starts_with("capabilities"));
    if unspeakable { Ok(Vec::new()) } else { Err(error) }
}
