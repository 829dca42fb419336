//! Where the other roles are, when they are served by other processes.

use std::time::Duration;

use hive_grpc_kit::settings::value::{switch, text, whole};
use serde::{Deserialize, Deserializer};

/// Settings of the way to other roles. A field is called as its plain name in lower case, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerSettings {
    #[serde(deserialize_with = "host")]
    execution_ticket_service_host: String,
    #[serde(deserialize_with = "whole::<_, _, 1, 65_535>")]
    execution_ticket_service_port: u16,
    #[serde(deserialize_with = "host")]
    service_registry_host: String,
    #[serde(deserialize_with = "whole::<_, _, 1, 65_535>")]
    service_registry_port: u16,
    #[serde(deserialize_with = "whole::<_, _, 1, 300>")]
    service_registry_timeout_seconds: u64,
    #[serde(deserialize_with = "switch")]
    tls: bool,
    /// Whether tokens may pass where others can read them.
    #[serde(deserialize_with = "switch")]
    pub(crate) in_clear: bool,
}

impl PeerSettings {
    /// How URLs of the platform's servers begin.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Where the tickets are.
    pub(crate) fn tickets(&self) -> String {
        self.url(&self.execution_ticket_service_host, self.execution_ticket_service_port)
    }

    /// Where the registry is.
    pub(crate) fn registry(&self) -> String {
        self.url(&self.service_registry_host, self.service_registry_port)
    }

    fn url(&self, host: &str, port: u16) -> String {
        format!("{}://{host}:{port}", self.scheme())
    }

    /// How long the registry may take to answer.
    pub(crate) fn registry_timeout(&self) -> Duration {
        Duration::from_secs(self.service_registry_timeout_seconds)
    }
}

/// A name or an address, one of version 6 in brackets.
fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde::de::Error;
    let host = text(deserializer)?;
    let is_host = http::uri::Authority::try_from(host.as_str())
        .is_ok_and(|authority| authority.host() == host && !host.is_empty());
    is_host.then_some(host).ok_or_else(|| D::Error::custom("must be a host name or an IP address"))
}
