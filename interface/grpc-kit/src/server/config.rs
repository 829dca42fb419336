//! The settings under `GRPC__SERVER__`: every key does what it says, and an unknown one is an error.
//! [`Settings`](crate::settings::Settings) reads them from the environment and a file.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer};

pub use super::check::ConfigError;
pub use crate::settings::{Environment, Secret};
use crate::{
    compression::Compression,
    layer::admission::Limits,
    settings::value::{DAY_MS, MAX_BYTES, address, list, optional, optional_word, pem, port, switch, whole},
    tls::ServerTlsConfig,
};

/// `GRPC__SERVER__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `ENABLED`: whether to serve at all; see [`Server::bind_and_serve`](super::serve::Server::bind_and_serve).
    #[serde(deserialize_with = "switch")]
    pub enabled: bool,
    /// `HOST`: the address to bind; by default 127.0.0.1 in development and 0.0.0.0 elsewhere.
    #[serde(deserialize_with = "address")]
    pub host: Option<IpAddr>,
    /// `PORT`, 0 for any free one.
    #[serde(deserialize_with = "port")]
    pub port: u16,
    /// `MAX_WORKERS`, 1..=100: at most so many threads serve; see [`Config::runtime`].
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    pub max_workers: usize,
    /// `MAX_CONCURRENT_RPCS`, 1..=10000: calls at once on the whole server, and half as many on one connection unless
    /// [`MAX_CALLS`](ConnectionConfig::max_calls) says otherwise.
    #[serde(deserialize_with = "whole::<_, _, 1, 10_000>")]
    pub max_concurrent_rpcs: u32,
    /// `REFLECTION_ENABLED`: whether clients may ask for the contracts.
    #[serde(deserialize_with = "switch")]
    pub reflection_enabled: bool,
    /// `REFLECTION_AUTH`: whether they need a token for it; by default off in development, and `AUTH__MODE` elsewhere.
    #[serde(deserialize_with = "mode")]
    pub reflection_auth: Option<AuthMode>,
    /// `HEALTH_CHECK_ENABLED`: whether the health protocol is served.
    #[serde(deserialize_with = "switch")]
    pub health_check_enabled: bool,
    /// `MAX_MESSAGE_SIZE`, at least 1024: bytes of one message, in both directions.
    #[serde(deserialize_with = "whole::<_, _, 1_024, MAX_BYTES>")]
    pub max_message_size: usize,
    /// `COMPRESSION`: `off`, `gzip` or `zstd`: how answers are sent to clients that read it; when on, requests may come
    /// by either. For servicers made with the settings, by [`servicer!`](crate::servicer).
    pub compression: Compression,
    /// `KEEPALIVE_TIME_MS`: a connection without traffic is pinged this often; 0 for never.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub keepalive_time_ms: u64,
    /// `KEEPALIVE_TIMEOUT_MS`: a ping unanswered for this long closes the connection.
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    pub keepalive_timeout_ms: u64,
    /// `TLS__*`.
    pub tls: ServerTlsConfig,
    /// `AUTH__*`.
    pub auth: AuthConfig,
    /// `LIMITS__*`.
    pub limits: LimitsConfig,
    /// `DEADLINE__*`.
    pub deadline: DeadlineConfig,
    /// `CONNECTION__*`.
    pub connection: ConnectionConfig,
    /// `SHUTDOWN__*`.
    pub shutdown: ShutdownConfig,
    /// `LOGGING__*`.
    pub logging: LoggingConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            host: None,
            port: 50051,
            max_workers: 10,
            max_concurrent_rpcs: 100,
            reflection_enabled: true,
            reflection_auth: None,
            health_check_enabled: true,
            max_message_size: 4 * 1024 * 1024,
            compression: Compression::Off,
            keepalive_time_ms: 7_200_000,
            keepalive_timeout_ms: 20_000,
            tls: ServerTlsConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            deadline: DeadlineConfig::default(),
            connection: ConnectionConfig::default(),
            shutdown: ShutdownConfig::default(),
            logging: LoggingConfig::default(),
        }
    }
}

/// Whether calls need a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Tokens are not looked at, and no access rule counts.
    Off,
    /// A call may come without a token; one that is there must be valid.
    Optional,
    /// Every call needs a valid token.
    Required,
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthMode>, D::Error> {
    use AuthMode::{Off, Optional, Required};
    optional_word(deserializer, &[("off", Off), ("optional", Optional), ("required", Required)])
}

/// `GRPC__SERVER__AUTH__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// `MODE`: `off`, `optional` or `required`; by default off in development and required elsewhere.
    #[serde(deserialize_with = "mode")]
    pub mode: Option<AuthMode>,
    /// `JWT_SECRET`: shared secret of HS256, HS384 and HS512 tokens.
    #[serde(deserialize_with = "optional")]
    pub jwt_secret: Option<Secret>,
    /// `PUBLIC_KEY`: PEM of the RSA, EC or Ed25519 key that verifies tokens.
    #[serde(deserialize_with = "pem")]
    pub public_key: Option<String>,
    /// `JWKS`: a JSON Web Key Set as text, for several keys or keys with ids.
    #[serde(deserialize_with = "optional")]
    pub jwks: Option<String>,
    /// `JWKS_URL`: where a JSON Web Key Set of public keys is fetched; `https`, and with ISSUER and AUDIENCE, outside
    /// development.
    #[serde(deserialize_with = "optional")]
    pub jwks_url: Option<String>,
    /// `JWKS_CA`: PEM file with the authorities to trust there; by default the system's.
    #[serde(deserialize_with = "optional")]
    pub jwks_ca: Option<PathBuf>,
    /// `JWKS_REFRESH_SECONDS`, at most 86400: how often it is fetched; at least ten seconds apart.
    #[serde(deserialize_with = "whole::<_, _, 0, 86_400>")]
    pub jwks_refresh_seconds: u64,
    /// `ISSUER`: the `iss` tokens must have; none or `*` for any.
    #[serde(deserialize_with = "optional")]
    pub issuer: Option<String>,
    /// `AUDIENCE`: the `aud` tokens must contain; none or `*` for any.
    #[serde(deserialize_with = "optional")]
    pub audience: Option<String>,
    /// `LEEWAY_SECONDS`, at most 600: how far the clocks may differ.
    #[serde(deserialize_with = "whole::<_, _, 0, 600>")]
    pub leeway_seconds: u64,
    /// `FAILURES_PER_MINUTE`, at most 1000000: tokens from one address, or IPv6 /64, that may turn out to be invalid
    /// before no other from there is looked at, apart from those verified before; 0 for no limit. A
    /// [verifier of one's own](super::builder::ServerBuilder::verifier) has its own limit, or none.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub failures_per_minute: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            mode: None,
            jwt_secret: None,
            public_key: None,
            jwks: None,
            jwks_url: None,
            jwks_ca: None,
            jwks_refresh_seconds: 300,
            issuer: None,
            audience: None,
            leeway_seconds: 0,
            failures_per_minute: 600,
        }
    }
}

/// `GRPC__SERVER__LIMITS__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// `RATE_PER_SECOND`: calls a second for one caller; 0 for no limit.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub rate_per_second: u32,
    /// `RATE_BURST`: calls at once after a pause; 0 for as many as a second allows.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub rate_burst: u32,
    /// `MAX_STREAMS`, at least 1: calls at once that answer with a stream, which take no place of the others.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub max_streams: usize,
    /// `LOW_PRIORITY_SHARE`, 1..=100: percent of MAX_CONCURRENT_RPCS, and of MAX_STREAMS, above which calls of low
    /// priority are shed.
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    pub low_priority_share: usize,
    /// `LOW_PRIORITY_METHODS`: paths whose calls are of low priority.
    #[serde(deserialize_with = "list")]
    pub low_priority_methods: Vec<String>,
    /// `MAX_CONNECTIONS`, at least 1: connections at once; more wait in the socket's queue.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub max_connections: usize,
    /// `ADDRESS_SHARE`, 1..=100: percent of MAX_CONNECTIONS for one address, or one /64 of IPv6, and at least one; more
    /// from it are refused. 100 where all clients come from one, as behind a proxy.
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    pub address_share: usize,
    /// `MAX_HEADER_BYTES`, at least 1024: all headers of one call.
    #[serde(deserialize_with = "whole::<_, _, 1_024, 1_048_576>")]
    pub max_header_bytes: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            rate_per_second: 0,
            rate_burst: 0,
            max_streams: 4_096,
            low_priority_share: 75,
            low_priority_methods: Vec::new(),
            max_connections: 10_000,
            address_share: 25,
            max_header_bytes: 16 * 1024,
        }
    }
}

/// `GRPC__SERVER__DEADLINE__*`; methods that answer with a stream are exempt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// `DEFAULT_MS`: for calls that set none; 0 for none.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub default_ms: u64,
    /// `MAX_MS`: cuts what calls set, and bounds those that set nothing; 0 for no bound, with which a caller that never
    /// sends its message keeps its place.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub max_ms: u64,
}

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self { default_ms: 0, max_ms: 300_000 }
    }
}

/// `GRPC__SERVER__CONNECTION__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// `MAX_AGE_MS`: a connection is asked to close (GOAWAY) at this age, so that clients spread again; 0 for never. It
    /// varies by a tenth either way, lest all of them come back at once.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub max_age_ms: u64,
    /// `MAX_AGE_GRACE_MS`: calls that still run on it then are cut off after this.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub max_age_grace_ms: u64,
    /// `MAX_IDLE_MS`: a connection without a call for this long, twice at most, is asked to close; 0 for never.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub max_idle_ms: u64,
    /// `MAX_CALLS`, at most 10000: calls at once on one connection, streams counted, so that one cannot take all places;
    /// 0 for half of MAX_CONCURRENT_RPCS, and at least one.
    #[serde(deserialize_with = "whole::<_, _, 0, 10_000>")]
    pub max_calls: u32,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self { max_age_ms: 0, max_age_grace_ms: 30_000, max_idle_ms: 300_000, max_calls: 0 }
    }
}

/// `GRPC__SERVER__SHUTDOWN__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// `DRAIN_MS`: what runs when the server is to end has this long to finish.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub drain_ms: u64,
    /// `LAME_DUCK_MS`: before that, health says NOT_SERVING for this long while everything is still served, so that
    /// clients and balancers hear of it; 0 for not at all.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub lame_duck_ms: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_ms: 10_000, lame_duck_ms: 0 }
    }
}

/// `GRPC__SERVER__LOGGING__*`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// `SUCCESS_SAMPLE`, at least 1: of the calls that succeed, one in so many is logged.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub success_sample: u32,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { success_sample: 1 }
    }
}

impl Config {
    /// Where to listen: the configured host, else by the environment.
    pub fn address(&self, environment: Environment) -> SocketAddr {
        let host = self.host.unwrap_or(IpAddr::V4(match environment {
            Environment::Development => Ipv4Addr::LOCALHOST,
            Environment::Staging | Environment::Production => Ipv4Addr::UNSPECIFIED,
        }));
        SocketAddr::new(host, self.port)
    }

    /// A runtime whose threads serve: as many as the machine has, and at most MAX_WORKERS.
    ///
    /// # Errors
    /// When the system starts no threads.
    pub fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.min(self.max_workers).max(1))
            .enable_all()
            .build()
    }

    pub(crate) fn rate(&self) -> (Option<NonZeroU32>, Option<NonZeroU32>) {
        (NonZeroU32::new(self.limits.rate_per_second), NonZeroU32::new(self.limits.rate_burst))
    }

    /// HTTP/2 streams on one connection.
    pub(crate) fn calls_of_a_connection(&self) -> u32 {
        match self.connection.max_calls {
            0 => (self.max_concurrent_rpcs / 2).max(1),
            calls => calls,
        }
    }

    /// Connections from one address.
    pub(crate) fn connections_of_an_address(&self) -> usize {
        (self.limits.max_connections.saturating_mul(self.limits.address_share) / 100).max(1)
    }

    /// The calls that may run at once.
    pub(crate) fn places(&self) -> Limits {
        Limits {
            calls: self.max_concurrent_rpcs as usize,
            streams: self.limits.max_streams,
            low_share: self.limits.low_priority_share,
        }
    }
}

/// Milliseconds where 0 means "not at all".
pub(crate) fn some_millis(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
