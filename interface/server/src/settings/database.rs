//! Where a role keeps its data: in the data folder, unless its settings name a PostgreSQL database.

use std::fmt;

use hive_grpc_kit::settings::value::optional;
use hive_sql::Server;
use serde::{Deserialize, Deserializer};

use super::{Environment, Settings};

/// The URL of a PostgreSQL database, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The database.
    pub(super) fn server(&self) -> Option<Server> {
        // It was checked when it was read.
        Server::from_url(&self.0).ok()
    }
}

/// Never the URL.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl")
    }
}

/// A database URL, or none when it is empty.
pub(super) fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DatabaseUrl>, D::Error> {
    let Some(text): Option<String> = optional(deserializer)? else { return Ok(None) };
    match Server::from_url(&text) {
        Ok(_) => Ok(Some(DatabaseUrl(text))),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}

impl Settings {
    /// A database as the environment allows it: in production, no other host is spoken to in clear unless its URL says
    /// so.
    pub(crate) fn allowed(&self, server: Server) -> Server {
        match self.environment {
            Environment::Development | Environment::Staging => server,
            Environment::Production => server.require_tls(),
        }
    }
}

/// A password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Password(pub(super) String);

/// Never the password.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
