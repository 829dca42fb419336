//! The settings under `GRPC__SERVER__`: every key does what it says, and an unknown one is an error. Reading them from
//! the environment or a file is the process's business; here they are types, defaults and checks.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use self::ConfigError as Error;
use crate::{
    auth::{Expectations, Keys, Verifier},
    compression::Compression,
    tls::ServerTlsConfig,
};

/// How a process is run; decides the defaults that differ between a desk and the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Bound to this machine, no authentication unless configured.
    #[default]
    Development,
    /// As production.
    Staging,
    /// Bound to all addresses, authentication required unless configured, weak secrets and plain HTTP for keys refused.
    Production,
}

/// `GRPC__SERVER__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `ENABLED`: whether to serve at all.
    pub enabled: bool,
    /// `HOST`: the address to bind; by default 127.0.0.1 in development and 0.0.0.0 elsewhere.
    pub host: Option<IpAddr>,
    /// `PORT`, 0 for any free one.
    pub port: u16,
    /// `MAX_WORKERS`, 1..=100: at most so many threads serve; see [`Config::runtime`].
    pub max_workers: usize,
    /// `MAX_CONCURRENT_RPCS`, 1..=10000: calls at once on the whole server, and HTTP/2 streams on one connection.
    pub max_concurrent_rpcs: u32,
    /// `REFLECTION_ENABLED`: whether clients may ask for the contracts.
    pub reflection_enabled: bool,
    /// `HEALTH_CHECK_ENABLED`: whether the health protocol is served.
    pub health_check_enabled: bool,
    /// `MAX_MESSAGE_SIZE`, at least 1024: bytes of one message, in both directions.
    pub max_message_size: usize,
    /// `COMPRESSION`: `off`, `gzip` or `zstd`: how answers are sent to clients that read it; when on, requests may come
    /// by either. For servicers made with the settings, by [`servicer!`](crate::servicer).
    pub compression: Compression,
    /// `KEEPALIVE_TIME_MS`: a connection without traffic is pinged this often; 0 for never.
    pub keepalive_time_ms: u64,
    /// `KEEPALIVE_TIMEOUT_MS`: a ping unanswered for this long closes the connection.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Tokens are not looked at.
    Off,
    /// A call may come without a token; one that is there must be valid.
    Optional,
    /// Every call needs a valid token.
    Required,
}

/// `GRPC__SERVER__AUTH__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// `MODE`: `off`, `optional` or `required`; by default off in development and required elsewhere.
    pub mode: Option<AuthMode>,
    /// `JWT_SECRET`: shared secret of HS256, HS384 and HS512 tokens.
    pub jwt_secret: Option<Secret>,
    /// `PUBLIC_KEY`: PEM of the RSA, EC or Ed25519 key that verifies tokens.
    pub public_key: Option<String>,
    /// `JWKS`: a JSON Web Key Set as text, for several keys or keys with ids.
    pub jwks: Option<String>,
    /// `JWKS_URL`: where a JSON Web Key Set of public keys is fetched; `https`, and with ISSUER and AUDIENCE, outside
    /// development.
    pub jwks_url: Option<String>,
    /// `JWKS_CA`: PEM file with the authorities to trust there; by default the system's.
    pub jwks_ca: Option<PathBuf>,
    /// `JWKS_REFRESH_SECONDS`, at most 86400: how often it is fetched; at least ten seconds apart.
    pub jwks_refresh_seconds: u64,
    /// `ISSUER`: the `iss` tokens must have; none or `*` for any.
    pub issuer: Option<String>,
    /// `AUDIENCE`: the `aud` tokens must contain; none or `*` for any.
    pub audience: Option<String>,
    /// `LEEWAY_SECONDS`, at most 600: how far the clocks may differ.
    pub leeway_seconds: u64,
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
        }
    }
}

/// `GRPC__SERVER__LIMITS__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// `RATE_PER_SECOND`: calls a second for one caller; 0 for no limit.
    pub rate_per_second: u32,
    /// `RATE_BURST`: calls at once after a pause; 0 for as many as a second allows.
    pub rate_burst: u32,
    /// `LOW_PRIORITY_SHARE`, 1..=100: percent of MAX_CONCURRENT_RPCS above which calls of low priority are shed.
    pub low_priority_share: u32,
    /// `LOW_PRIORITY_METHODS`: paths whose calls are of low priority.
    pub low_priority_methods: Vec<String>,
    /// `MAX_CONNECTIONS`, at least 1: connections at once; more wait in the socket's queue.
    pub max_connections: usize,
    /// `MAX_HEADER_BYTES`, at least 1024: all headers of one call.
    pub max_header_bytes: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            rate_per_second: 0,
            rate_burst: 0,
            low_priority_share: 75,
            low_priority_methods: Vec::new(),
            max_connections: 10_000,
            max_header_bytes: 16 * 1024,
        }
    }
}

/// `GRPC__SERVER__DEADLINE__*`; methods that answer with a stream are exempt.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadlineConfig {
    /// `DEFAULT_MS`: for calls that set none; 0 for none.
    pub default_ms: u64,
    /// `MAX_MS`: cuts what calls set; 0 for no bound.
    pub max_ms: u64,
}

/// `GRPC__SERVER__CONNECTION__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// `MAX_AGE_MS`: a connection is asked to close (GOAWAY) at this age, so that clients spread again; 0 for never. It
    /// varies by a tenth either way, lest all of them come back at once.
    pub max_age_ms: u64,
    /// `MAX_AGE_GRACE_MS`: calls that still run on it then are cut off after this.
    pub max_age_grace_ms: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self { max_age_ms: 0, max_age_grace_ms: 30_000 }
    }
}

/// `GRPC__SERVER__SHUTDOWN__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownConfig {
    /// `DRAIN_MS`: what runs when the server is to end has this long to finish.
    pub drain_ms: u64,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_ms: 10_000 }
    }
}

/// `GRPC__SERVER__LOGGING__*`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// `SUCCESS_SAMPLE`, at least 1: of the calls that succeed, one in so many is logged.
    pub success_sample: u32,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { success_sample: 1 }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Shorter than the hash it keys, or with so few different characters that it was typed, not drawn.
    fn is_weak(&self) -> bool {
        let distinct: std::collections::HashSet<char> = self.0.chars().collect();
        self.0.len() < 32 || distinct.len() < 10
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A setting that cannot be used: its key and what is wrong, never its value if that could be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number beyond its bounds.
    #[error("{key} must be {bounds}")]
    OutOfBounds {
        /// The full key.
        key: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
    /// Authentication without anything to verify tokens with.
    #[error("{key} is needed because authentication is on (or PUBLIC_KEY, JWKS, JWKS_URL)")]
    NoKeyMaterial {
        /// The full key.
        key: &'static str,
    },
    /// A secret that can be guessed.
    #[error("{key} is too weak outside development: at least 32 characters, at least 10 different ones")]
    WeakSecret {
        /// The full key.
        key: &'static str,
    },
    /// Key material that cannot be read.
    #[error("{key} cannot be used: {problem}")]
    KeyMaterial {
        /// The full key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Whose tokens are meant, when the issuer's keys may sign for others as well.
    #[error("{key} is needed because JWKS_URL may sign for others as well; * for any")]
    NotStated {
        /// The full key.
        key: &'static str,
    },
    /// A name no registered service has.
    #[error("{key} names {name}, which no registered service has")]
    UnknownMethod {
        /// The full key, or the builder's method.
        key: &'static str,
        /// The name.
        name: String,
    },
}

impl Config {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self, environment: Environment) -> Result<(), Error> {
        self.check_apart_from_keys()?;
        self.verifier(environment).map(|_| ())
    }

    pub(crate) fn check_apart_from_keys(&self) -> Result<(), Error> {
        let bounds =
            |holds: bool, key, bounds| if holds { Ok(()) } else { Err(Error::OutOfBounds { key, bounds }) };
        bounds((1..=100).contains(&self.max_workers), "GRPC__SERVER__MAX_WORKERS", "1 to 100")?;
        bounds(
            (1..=10_000).contains(&self.max_concurrent_rpcs),
            "GRPC__SERVER__MAX_CONCURRENT_RPCS",
            "1 to 10000",
        )?;
        bounds(
            (1024..=1 << 30).contains(&self.max_message_size),
            "GRPC__SERVER__MAX_MESSAGE_SIZE",
            "1024 to 1073741824",
        )?;
        bounds(
            self.keepalive_time_ms == 0 || self.keepalive_timeout_ms > 0,
            "GRPC__SERVER__KEEPALIVE_TIMEOUT_MS",
            "above 0 while KEEPALIVE_TIME_MS is",
        )?;
        bounds(self.auth.leeway_seconds <= 600, "GRPC__SERVER__AUTH__LEEWAY_SECONDS", "0 to 600")?;
        bounds(
            self.auth.jwks_refresh_seconds <= 86_400,
            "GRPC__SERVER__AUTH__JWKS_REFRESH_SECONDS",
            "0 to 86400",
        )?;
        let limits = &self.limits;
        bounds(
            (1..=100).contains(&limits.low_priority_share),
            "GRPC__SERVER__LIMITS__LOW_PRIORITY_SHARE",
            "1 to 100",
        )?;
        bounds(
            limits.rate_burst == 0 || limits.rate_per_second > 0,
            "GRPC__SERVER__LIMITS__RATE_BURST",
            "0 without RATE_PER_SECOND",
        )?;
        bounds(limits.max_connections > 0, "GRPC__SERVER__LIMITS__MAX_CONNECTIONS", "at least 1")?;
        bounds(limits.max_header_bytes >= 1024, "GRPC__SERVER__LIMITS__MAX_HEADER_BYTES", "at least 1024")?;
        bounds(
            (1..=86_400).contains(&self.tls.reload_seconds),
            "GRPC__SERVER__TLS__RELOAD_SECONDS",
            "1 to 86400",
        )?;
        bounds(self.logging.success_sample > 0, "GRPC__SERVER__LOGGING__SUCCESS_SAMPLE", "at least 1")
    }

    /// Whether calls need a token: the configured mode, else by the environment.
    pub fn auth_mode(&self, environment: Environment) -> AuthMode {
        self.auth.mode.unwrap_or(match environment {
            Environment::Development => AuthMode::Off,
            Environment::Staging | Environment::Production => AuthMode::Required,
        })
    }

    /// The verifier by the configured keys; `None` when authentication is off.
    ///
    /// # Errors
    /// When there are no keys, or they cannot be read; outside development also when the secret can be guessed, or keys
    /// are fetched without https, or without saying whose tokens are meant.
    pub fn verifier(&self, environment: Environment) -> Result<Option<Verifier>, Error> {
        const SECRET: &str = "GRPC__SERVER__AUTH__JWT_SECRET";
        if self.auth_mode(environment) == AuthMode::Off {
            return Ok(None);
        }
        let mut keys = Keys::default();
        if let Some(secret) = &self.auth.jwt_secret {
            if environment != Environment::Development && secret.is_weak() {
                return Err(Error::WeakSecret { key: SECRET });
            }
            keys = keys.with_secret(secret.expose().as_bytes());
        }
        if let Some(pem) = &self.auth.public_key {
            keys = keys.with_public_pem(pem).map_err(|error| Error::KeyMaterial {
                key: "GRPC__SERVER__AUTH__PUBLIC_KEY",
                problem: error.to_string(),
            })?;
        }
        if let Some(jwks) = &self.auth.jwks {
            keys = keys.with_jwks(jwks).map_err(|error| Error::KeyMaterial {
                key: "GRPC__SERVER__AUTH__JWKS",
                problem: error.to_string(),
            })?;
        }
        let remote = self.auth.jwks_url.is_some();
        if keys.is_empty() && self.tls.client_ca.is_some() && !remote {
            // Certificates say who calls; no token is valid.
            return Ok(None);
        }
        if keys.is_empty() && !remote {
            return Err(Error::NoKeyMaterial { key: SECRET });
        }
        let stated = |key, value: &Option<String>| match value.as_deref() {
            None if remote && environment != Environment::Development => Err(Error::NotStated { key }),
            None | Some("*") => Ok(None),
            Some(value) => Ok(Some(value.to_owned())),
        };
        let expected = Expectations {
            issuer: stated("GRPC__SERVER__AUTH__ISSUER", &self.auth.issuer)?,
            audience: stated("GRPC__SERVER__AUTH__AUDIENCE", &self.auth.audience)?,
            leeway_seconds: self.auth.leeway_seconds,
        };
        self.with_remote(Verifier::new(keys, expected), environment).map(Some)
    }

    fn with_remote(&self, verifier: Verifier, environment: Environment) -> Result<Verifier, Error> {
        const JWKS_URL: &str = "GRPC__SERVER__AUTH__JWKS_URL";
        let Some(url) = &self.auth.jwks_url else { return Ok(verifier) };
        if environment != Environment::Development && !url.starts_with("https://") {
            // Who can answer in its place could sign any token.
            return Err(Error::KeyMaterial {
                key: JWKS_URL,
                problem: "it must be https outside development".to_owned(),
            });
        }
        let refresh = Duration::from_secs(self.auth.jwks_refresh_seconds);
        verifier
            .with_remote(url, self.auth.jwks_ca.clone(), refresh)
            .map_err(|error| Error::KeyMaterial { key: JWKS_URL, problem: error.to_string() })
    }

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

    /// The number of running calls from which on those of low priority are shed; at least one may run.
    pub(crate) fn low_priority_limit(&self) -> usize {
        let share = u64::from(self.max_concurrent_rpcs) * u64::from(self.limits.low_priority_share) / 100;
        (share as usize).max(1)
    }
}

/// Milliseconds where 0 means "not at all".
pub(crate) fn some_millis(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
