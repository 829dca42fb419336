//! Settings of every gRPC server, `GRPC__SERVER__*`, and the kit's config made from them.

use std::net::IpAddr;

use hive_grpc_kit::compression::Compression;
use hive_grpc_kit::server::config::{
    AuthConfig, AuthMode, Config, ConnectionConfig, DeadlineConfig, LimitsConfig, LoggingConfig, Secret,
    ShutdownConfig,
};
use hive_grpc_kit::tls::ServerTlsConfig;
use hive_jwt::ServiceToken;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

use super::client::ClientSettings;
use super::fields::{address, optional, port, switch, whole, word};

const DAY_MS: i64 = 86_400_000;
const MAX_BYTES: i64 = 1 << 30;

/// Settings of gRPC.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrpcSettings {
    server: ServerSettings,
    /// Of calls to other processes.
    pub(crate) client: ClientSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSettings {
    #[serde(deserialize_with = "switch")]
    enabled: bool,
    #[serde(deserialize_with = "address")]
    host: Option<IpAddr>,
    #[serde(deserialize_with = "port")]
    port: u16,
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    max_workers: usize,
    #[serde(deserialize_with = "whole::<_, _, 1, 10_000>")]
    max_concurrent_rpcs: u32,
    #[serde(deserialize_with = "switch")]
    reflection_enabled: bool,
    #[serde(deserialize_with = "switch")]
    health_check_enabled: bool,
    #[serde(deserialize_with = "whole::<_, _, 1_024, MAX_BYTES>")]
    max_message_size: usize,
    #[serde(deserialize_with = "compression")]
    compression: Compression,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    keepalive_time_ms: u64,
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    keepalive_timeout_ms: u64,
    tls: TlsSettings,
    auth: AuthSettings,
    limits: LimitSettings,
    deadline: DeadlineSettings,
    connection: ConnectionSettings,
    shutdown: ShutdownSettings,
    logging: LoggingSettings,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsSettings {
    #[serde(deserialize_with = "optional")]
    cert: Option<String>,
    #[serde(deserialize_with = "optional")]
    key: Option<String>,
    #[serde(deserialize_with = "optional")]
    client_ca: Option<String>,
    #[serde(deserialize_with = "whole::<_, _, 1, 86_400>")]
    reload_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthSettings {
    #[serde(deserialize_with = "mode")]
    mode: Option<AuthMode>,
    #[serde(deserialize_with = "secret")]
    jwt_secret: Option<Secret>,
    #[serde(deserialize_with = "optional")]
    public_key: Option<String>,
    #[serde(deserialize_with = "optional")]
    jwks: Option<String>,
    #[serde(deserialize_with = "optional")]
    jwks_url: Option<String>,
    #[serde(deserialize_with = "optional")]
    jwks_ca: Option<String>,
    #[serde(deserialize_with = "whole::<_, _, 0, 86_400>")]
    jwks_refresh_seconds: u64,
    #[serde(deserialize_with = "optional")]
    issuer: Option<String>,
    #[serde(deserialize_with = "optional")]
    audience: Option<String>,
    #[serde(deserialize_with = "whole::<_, _, 0, 600>")]
    leeway_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitSettings {
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    rate_per_second: u32,
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    rate_burst: u32,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    max_connections: usize,
    #[serde(deserialize_with = "whole::<_, _, 1_024, 1_048_576>")]
    max_header_bytes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadlineSettings {
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    default_ms: u64,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    max_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionSettings {
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    max_age_ms: u64,
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    max_age_grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShutdownSettings {
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    drain_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggingSettings {
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    success_sample: u32,
}

pub(super) fn compression<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Compression, D::Error> {
    use Compression::{Gzip, Off, Zstd};
    word(deserializer, &[("off", Off), ("gzip", Gzip), ("zstd", Zstd)])
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthMode>, D::Error> {
    use AuthMode::{Off, Optional, Required};
    let words = [("off", Off), ("optional", Optional), ("required", Required)];
    let read = |text: String| word(text.into_deserializer(), &words);
    optional(deserializer)?.map(read).transpose()
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(optional(deserializer)?.map(Secret::new))
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

    /// The config of a server; the port is that of `serve` with one role, and of the registry in `up`.
    pub(crate) fn config(&self) -> Config {
        let ServerSettings { tls, auth, limits, deadline, connection, .. } = &self.server;
        Config {
            enabled: self.server.enabled,
            host: self.server.host,
            port: self.server.port,
            max_workers: self.server.max_workers,
            max_concurrent_rpcs: self.server.max_concurrent_rpcs,
            reflection_enabled: self.server.reflection_enabled,
            health_check_enabled: self.server.health_check_enabled,
            max_message_size: self.server.max_message_size,
            compression: self.server.compression,
            keepalive_time_ms: self.server.keepalive_time_ms,
            keepalive_timeout_ms: self.server.keepalive_timeout_ms,
            tls: ServerTlsConfig {
                cert: tls.cert.as_ref().map(Into::into),
                key: tls.key.as_ref().map(Into::into),
                client_ca: tls.client_ca.as_ref().map(Into::into),
                reload_seconds: tls.reload_seconds,
            },
            auth: AuthConfig {
                mode: auth.mode,
                jwt_secret: auth.jwt_secret.clone(),
                public_key: auth.public_key.as_ref().map(|pem| pem.replace("\\n", "\n")),
                jwks: auth.jwks.clone(),
                jwks_url: auth.jwks_url.clone(),
                jwks_ca: auth.jwks_ca.as_ref().map(Into::into),
                jwks_refresh_seconds: auth.jwks_refresh_seconds,
                issuer: auth.issuer.clone(),
                audience: auth.audience.clone(),
                leeway_seconds: auth.leeway_seconds,
            },
            limits: LimitsConfig {
                rate_per_second: limits.rate_per_second,
                rate_burst: limits.rate_burst,
                max_connections: limits.max_connections,
                max_header_bytes: limits.max_header_bytes,
                ..LimitsConfig::default()
            },
            deadline: DeadlineConfig { default_ms: deadline.default_ms, max_ms: deadline.max_ms },
            connection: ConnectionConfig {
                max_age_ms: connection.max_age_ms,
                max_age_grace_ms: connection.max_age_grace_ms,
            },
            shutdown: ShutdownConfig { drain_ms: self.server.shutdown.drain_ms },
            logging: LoggingConfig { success_sample: self.server.logging.success_sample },
        }
    }
}
