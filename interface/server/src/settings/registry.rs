//! Settings of the registry, and its lease terms made from them.

use hive_domain::registry::{LeaseTerms, RegistryError};
use hive_grpc_kit::settings::value::whole;
use hive_sql::Server;
use serde::Deserialize;

use super::database::{DatabaseUrl, url};

/// Settings of the registry. A field is called as its plain name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrySettings {
    #[serde(deserialize_with = "url")]
    database_url: Option<DatabaseUrl>,
    /// At least two heartbeats of a built-in agent.
    #[serde(deserialize_with = "whole::<_, _, 60, 86_400>")]
    heartbeat_timeout_seconds: i64,
}

impl RegistrySettings {
    /// The database, unless it is in the data folder.
    pub(crate) fn database(&self) -> Option<Server> {
        self.database_url.as_ref().and_then(DatabaseUrl::server)
    }

    /// How long agents may be silent.
    pub(crate) fn terms(&self) -> Result<LeaseTerms, RegistryError> {
        LeaseTerms::new(self.heartbeat_timeout_seconds * 1_000)
    }

    /// Milliseconds between two looks for silent agents.
    pub(crate) fn sweep_every_ms(&self) -> i64 {
        self.heartbeat_timeout_seconds * 1_000 / 4
    }
}
