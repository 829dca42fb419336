//! Settings of calls to other processes, `GRPC__CLIENT__*`, and the kit's config made from them.

use std::time::Duration;

use hive_grpc_kit::client::{ClientAuthConfig, ClientConfig, ClientConfigError};
use hive_grpc_kit::compression::Compression;
use hive_grpc_kit::server::config::Secret;
use hive_grpc_kit::tls::ClientTlsConfig;
use serde::Deserialize;

use super::fields::{number, optional, switch, whole};
use super::grpc::{compression, secret};

const DAY_MS: i64 = 86_400_000;
const MAX_BYTES: i64 = 1 << 30;

/// Settings of calls to other processes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientSettings {
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    default_timeout: f64,
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    attempt_timeout: f64,
    #[serde(deserialize_with = "whole::<_, _, 0, 60_000>")]
    deadline_margin_ms: u64,
    #[serde(deserialize_with = "switch")]
    enable_retry: bool,
    #[serde(deserialize_with = "whole::<_, _, 0, 10>")]
    max_retries: u32,
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    retry_backoff_base: f64,
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    retry_backoff_max: f64,
    #[serde(deserialize_with = "number::<_, 1, 100>")]
    retry_backoff_multiplier: f64,
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    retry_budget_ratio: f64,
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000>")]
    retry_budget_burst: u32,
    #[serde(deserialize_with = "whole::<_, _, 0, MAX_BYTES>")]
    retry_buffer_bytes: usize,
    #[serde(deserialize_with = "switch")]
    enable_circuit_breaker: bool,
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    circuit_breaker_threshold: u32,
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    circuit_breaker_timeout: f64,
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    circuit_breaker_probes: u32,
    #[serde(deserialize_with = "whole::<_, _, 1_024, MAX_BYTES>")]
    max_message_size: usize,
    #[serde(deserialize_with = "compression")]
    compression: Compression,
    #[serde(deserialize_with = "whole::<_, _, 1, 64>")]
    connections: usize,
    #[serde(deserialize_with = "number::<_, 0, 3_600>")]
    connect_timeout: f64,
    #[serde(deserialize_with = "number::<_, 0, 86_400>")]
    resolve_interval: f64,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    keepalive_time_ms: u64,
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    keepalive_timeout_ms: u64,
    tls: TlsSettings,
    auth: AuthSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSettings {
    #[serde(deserialize_with = "switch")]
    enabled: bool,
    #[serde(deserialize_with = "optional")]
    ca: Option<String>,
    #[serde(deserialize_with = "optional")]
    cert: Option<String>,
    #[serde(deserialize_with = "optional")]
    key: Option<String>,
    #[serde(deserialize_with = "optional")]
    server_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthSettings {
    #[serde(deserialize_with = "secret")]
    token: Option<Secret>,
    #[serde(deserialize_with = "switch")]
    in_clear: bool,
}

impl ClientSettings {
    /// How URLs of the platform's servers begin.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.enabled { "https" } else { "http" }
    }

    /// Whether tokens may pass where others can read them.
    pub(crate) fn in_clear(&self) -> bool {
        self.auth.in_clear
    }

    /// Whether calls show a token or a certificate that these settings name.
    pub(crate) fn shows_something(&self) -> bool {
        self.auth.token.is_some() || (self.tls.enabled && self.tls.cert.is_some())
    }

    /// How long a call may take that says nothing itself.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.default_timeout).unwrap_or_default()
    }

    /// What no single value shows: the path of a value that does not fit, and what is wrong with it.
    pub(super) fn cross_check(&self) -> Option<(String, String)> {
        let path = |key: &str| key.to_ascii_lowercase().replace("__", ".");
        if self.default_timeout <= 0.0 {
            let message = "must be above 0: whoever calls has to hear in the end".to_owned();
            return Some((path("GRPC__CLIENT__DEFAULT_TIMEOUT"), message));
        }
        match self.config().check().err()? {
            ClientConfigError::OutOfBounds { key, bounds } => Some((path(&key), format!("must be {bounds}"))),
            ClientConfigError::Malformed { key, problem } => Some((path(&key), problem.to_owned())),
        }
    }

    /// The config of the kit's client factory, without targets.
    pub(crate) fn config(&self) -> ClientConfig {
        let TlsSettings { ca, cert, key, server_name, .. } = &self.tls;
        ClientConfig {
            default_timeout: self.default_timeout,
            attempt_timeout: self.attempt_timeout,
            deadline_margin_ms: self.deadline_margin_ms,
            enable_retry: self.enable_retry,
            max_retries: self.max_retries,
            retry_backoff_base: self.retry_backoff_base,
            retry_backoff_max: self.retry_backoff_max,
            retry_backoff_multiplier: self.retry_backoff_multiplier,
            retry_budget_ratio: self.retry_budget_ratio,
            retry_budget_burst: self.retry_budget_burst,
            retry_buffer_bytes: self.retry_buffer_bytes,
            enable_circuit_breaker: self.enable_circuit_breaker,
            circuit_breaker_threshold: self.circuit_breaker_threshold,
            circuit_breaker_timeout: self.circuit_breaker_timeout,
            circuit_breaker_probes: self.circuit_breaker_probes,
            max_message_size: self.max_message_size,
            compression: self.compression,
            connections: self.connections,
            connect_timeout: self.connect_timeout,
            resolve_interval: self.resolve_interval,
            keepalive_time_ms: self.keepalive_time_ms,
            keepalive_timeout_ms: self.keepalive_timeout_ms,
            tls: ClientTlsConfig {
                ca: ca.as_ref().map(Into::into),
                cert: cert.as_ref().map(Into::into),
                key: key.as_ref().map(Into::into),
                server_name: server_name.clone(),
            },
            auth: ClientAuthConfig { token: self.auth.token.clone() },
            ..ClientConfig::default()
        }
    }
}
