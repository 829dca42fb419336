//! Settings of the tickets.

use std::time::Duration;

use hive_grpc_kit::settings::value::{optional, port, whole};
use hive_sql::Server;
use serde::Deserialize;

use super::database::{DatabaseUrl, Password, url};

/// The name of the database where nothing else is said.
const DATABASE: &str = "neural_hive_tickets";

/// Settings of the tickets. A field is called as its plain name in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketSettings {
    /// Port of their gRPC server in `up`.
    #[serde(deserialize_with = "port")]
    pub(crate) grpc_port: u16,
    #[serde(deserialize_with = "url")]
    database_url: Option<DatabaseUrl>,
    #[serde(deserialize_with = "optional")]
    postgres_host: Option<String>,
    #[serde(deserialize_with = "port")]
    postgres_port: u16,
    #[serde(deserialize_with = "optional")]
    postgres_user: Option<String>,
    postgres_password: Password,
    #[serde(deserialize_with = "optional")]
    postgres_database: Option<String>,
    #[serde(deserialize_with = "whole::<_, _, 1, 87_600>")]
    log_retention_hours: u64,
}

impl TicketSettings {
    /// How long changes stay in the log at least.
    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(self.log_retention_hours * 3_600)
    }

    /// The database, unless tickets are kept in the data folder: its URL, else its parts, of which the host counts.
    pub(crate) fn database(&self) -> Option<Server> {
        if let Some(url) = &self.database_url {
            return url.server();
        }
        let user = self.postgres_user.as_deref().unwrap_or_default();
        let database = self.postgres_database.as_deref().unwrap_or(DATABASE);
        let host = self.postgres_host.as_ref()?;
        Some(Server::new(host, self.postgres_port, user, &self.postgres_password.0, database))
    }
}
