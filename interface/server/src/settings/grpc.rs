//! The settings of gRPC: those of the kit, as it reads them, and what follows from them here.

use std::time::Duration;

use hive_grpc_kit::client::ClientConfig;
use hive_grpc_kit::server::config::Config;
use hive_grpc_kit::settings::Refusal;
use hive_jwt::ServiceToken;
use serde::Deserialize;

use crate::contracts;

/// Settings of gRPC.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrpcSettings {
    /// Of every server; the port is that of `serve` with one role, and of the registry in `up`.
    pub(crate) server: Config,
    /// Of calls to other processes, without targets.
    pub(crate) client: ClientConfig,
}

/// Who this is, to servers of the platform that ask for a token.
const SUBJECT: &str = "hive";

impl GrpcSettings {
    /// What processes of the platform show each other: a token signed with the secret they share, where there is one.
    pub(crate) fn credentials(&self) -> Option<ServiceToken> {
        let auth = &self.server.auth;
        let secret = auth.jwt_secret.as_ref()?;
        Some(ServiceToken::new(secret.expose().as_bytes(), SUBJECT, &auth.issuer, &auth.audience))
    }

    /// How long a call may take that says nothing itself.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.client.default_timeout).unwrap_or_default()
    }

    /// What no single value shows.
    pub(super) fn cross_check(&self) -> Option<Refusal> {
        if self.client.default_timeout <= 0.0 {
            let message = "must be above 0: whoever calls has to hear in the end".to_owned();
            return Some(("grpc.client.default_timeout".to_owned(), message));
        }
        if let Some(path) = contracts::unknown(&self.server) {
            let message = format!("names {path}, which no service of the platform has");
            return Some(("grpc.server.limits.low_priority_methods".to_owned(), message));
        }
        self.client.check().err().map(|error| error.refusal())
    }
}
