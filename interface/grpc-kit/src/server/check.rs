//! What is checked of a server's settings beyond their types, and the verifier made of its keys.

use std::time::Duration;

use self::ConfigError as Error;
use super::config::{AuthMode, Config, Environment};
use crate::{
    auth::{Expectations, Keys, Verifier},
    settings::Refusal,
};

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

impl ConfigError {
    /// The full key of the setting.
    pub fn key(&self) -> &'static str {
        match self {
            Error::OutOfBounds { key, .. }
            | Error::NoKeyMaterial { key }
            | Error::WeakSecret { key }
            | Error::NotStated { key }
            | Error::KeyMaterial { key, .. }
            | Error::UnknownMethod { key, .. } => key,
        }
    }

    /// The same by the setting's path, for [`Layers`](crate::settings::Layers).
    pub fn refusal(&self) -> Refusal {
        let message = self.to_string();
        let message = message.trim_start_matches(self.key()).trim_start();
        (self.key().to_ascii_lowercase().replace("__", "."), message.to_owned())
    }
}

impl Config {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self, environment: Environment) -> Result<(), Error> {
        self.check_apart_from_keys(environment)?;
        self.verifier(environment).map(|_| ())
    }

    pub(crate) fn check_apart_from_keys(&self, environment: Environment) -> Result<(), Error> {
        let bounds =
            |holds: bool, key, bounds| if holds { Ok(()) } else { Err(Error::OutOfBounds { key, bounds }) };
        bounds(
            self.auth_mode(environment) != AuthMode::Off
                || self.reflection_auth_mode(environment) == AuthMode::Off,
            "GRPC__SERVER__REFLECTION_AUTH",
            "off while AUTH__MODE is",
        )?;
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
        bounds(limits.max_streams > 0, "GRPC__SERVER__LIMITS__MAX_STREAMS", "at least 1")?;
        bounds(limits.max_connections > 0, "GRPC__SERVER__LIMITS__MAX_CONNECTIONS", "at least 1")?;
        bounds((1..=100).contains(&limits.address_share), "GRPC__SERVER__LIMITS__ADDRESS_SHARE", "1 to 100")?;
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

    /// Whether reflection needs a token: the configured mode, else by the environment.
    pub fn reflection_auth_mode(&self, environment: Environment) -> AuthMode {
        self.reflection_auth.unwrap_or(match environment {
            Environment::Development => AuthMode::Off,
            Environment::Staging | Environment::Production => self.auth_mode(environment),
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
        let verifier = Verifier::new(keys, expected).with_failures_per_minute(self.auth.failures_per_minute);
        self.with_remote(verifier, environment).map(Some)
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
}
