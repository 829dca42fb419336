//! The settings under `GRPC__CLIENT__`, for all targets and for each by its name.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use self::ClientConfigError as Error;
use crate::{
    compression::Compression,
    settings::{
        Refusal, Secret,
        value::{
            DAY_MS, DAY_SECONDS, MAX_BYTES, number, optional, some_number, some_switch, some_whole, switch,
            text, whole,
        },
    },
    tls::ClientTlsConfig,
};

/// `GRPC__CLIENT__*`. Times are in seconds unless the key says otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// `DEFAULT_TIMEOUT`: of calls that set none; 0 for none. Methods that answer with a stream are exempt.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub default_timeout: f64,
    /// `ATTEMPT_TIMEOUT`: of one attempt of an idempotent call, as long as there may be another; 0 for none. Methods
    /// that answer with a stream are exempt.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub attempt_timeout: f64,
    /// `DEADLINE_MARGIN_MS`: how much earlier than the caller the server gives up, at most a tenth of the time left,
    /// so that its answer still arrives.
    #[serde(deserialize_with = "whole::<_, _, 0, 60_000>")]
    pub deadline_margin_ms: u64,
    /// `ENABLE_RETRY`: whether a failed call may be sent again at all.
    #[serde(deserialize_with = "switch")]
    pub enable_retry: bool,
    /// `MAX_RETRIES`, 0..=10: attempts after the first.
    #[serde(deserialize_with = "whole::<_, _, 0, 10>")]
    pub max_retries: u32,
    /// `RETRY_BACKOFF_BASE`: the longest wait before the first retry; the wait is drawn from zero to this.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub retry_backoff_base: f64,
    /// `RETRY_BACKOFF_MAX`: the longest wait before any retry.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub retry_backoff_max: f64,
    /// `RETRY_BACKOFF_MULTIPLIER`, at least 1: by how much the longest wait grows each time.
    #[serde(deserialize_with = "number::<_, 1, 100>")]
    pub retry_backoff_multiplier: f64,
    /// `RETRY_BUDGET_RATIO`, 0..=1: how many retries a target gets for every call.
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    pub retry_budget_ratio: f64,
    /// `RETRY_BUDGET_BURST`, 0..=1000: retries a target has saved at most.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000>")]
    pub retry_budget_burst: u32,
    /// `RETRY_BUFFER_BYTES`: a request above this, its pieces' overhead included, is not kept, and so not sent again;
    /// all requests of a target together keep at most 64 times as much.
    #[serde(deserialize_with = "whole::<_, _, 0, MAX_BYTES>")]
    pub retry_buffer_bytes: usize,
    /// `ENABLE_CIRCUIT_BREAKER`: whether an address that fails is left alone for a while.
    #[serde(deserialize_with = "switch")]
    pub enable_circuit_breaker: bool,
    /// `CIRCUIT_BREAKER_THRESHOLD`, 1..=100: failures in a row that open it.
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    pub circuit_breaker_threshold: u32,
    /// `CIRCUIT_BREAKER_TIMEOUT`: how long it stays open before it is probed.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub circuit_breaker_timeout: f64,
    /// `CIRCUIT_BREAKER_PROBES`, 1..=100: probes at a time, and successes in a row that close it.
    #[serde(deserialize_with = "whole::<_, _, 1, 100>")]
    pub circuit_breaker_probes: u32,
    /// `MAX_MESSAGE_SIZE`, at least 1024: bytes of one message, in both directions.
    #[serde(deserialize_with = "whole::<_, _, 1_024, MAX_BYTES>")]
    pub max_message_size: usize,
    /// `COMPRESSION`: `off`, `gzip` or `zstd`: how messages are sent; when on, servers may answer by either.
    pub compression: Compression,
    /// `CONNECTIONS`, 1..=64: HTTP/2 connections to a target; at least one for each of its addresses.
    #[serde(deserialize_with = "whole::<_, _, 1, 64>")]
    pub connections: usize,
    /// `CONNECT_TIMEOUT`: for a connection to be there.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub connect_timeout: f64,
    /// `RESOLVE_INTERVAL`: how old the addresses of a name in use may be.
    #[serde(deserialize_with = "number::<_, 0, DAY_SECONDS>")]
    pub resolve_interval: f64,
    /// `KEEPALIVE_TIME_MS`: a connection with calls on it but no traffic is pinged this often; 0 for never.
    #[serde(deserialize_with = "whole::<_, _, 0, DAY_MS>")]
    pub keepalive_time_ms: u64,
    /// `KEEPALIVE_TIMEOUT_MS`: a ping unanswered for this long closes the connection.
    #[serde(deserialize_with = "whole::<_, _, 1, DAY_MS>")]
    pub keepalive_timeout_ms: u64,
    /// `TLS__*`.
    pub tls: ClientTlsConfig,
    /// `AUTH__*`.
    pub auth: ClientAuthConfig,
    /// `TARGETS__<NAME>__*`: the targets by name, lower case.
    pub targets: BTreeMap<String, TargetConfig>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            default_timeout: 30.0,
            attempt_timeout: 0.0,
            deadline_margin_ms: 20,
            enable_retry: true,
            max_retries: 3,
            retry_backoff_base: 1.0,
            retry_backoff_max: 30.0,
            retry_backoff_multiplier: 2.0,
            retry_budget_ratio: 0.15,
            retry_budget_burst: 10,
            retry_buffer_bytes: 256 * 1024,
            enable_circuit_breaker: true,
            circuit_breaker_threshold: 5,
            circuit_breaker_timeout: 30.0,
            circuit_breaker_probes: 3,
            max_message_size: 4 * 1024 * 1024,
            compression: Compression::Off,
            connections: 4,
            connect_timeout: 5.0,
            resolve_interval: 30.0,
            // The most frequent that servers in the field accept without calling it abuse.
            keepalive_time_ms: 300_000,
            keepalive_timeout_ms: 20_000,
            tls: ClientTlsConfig::default(),
            auth: ClientAuthConfig::default(),
            targets: BTreeMap::new(),
        }
    }
}

/// `GRPC__CLIENT__AUTH__*`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientAuthConfig {
    /// `TOKEN`: sent as the bearer token of every call. Tokens that have to be renewed come from a
    /// [`TokenSource`](super::TokenSource) instead.
    #[serde(deserialize_with = "optional")]
    pub token: Option<Secret>,
}

/// `GRPC__CLIENT__TARGETS__<NAME>__*`: where a target is, and what is different for it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is the one of `ClientConfig` with the same name")]
pub struct TargetConfig {
    /// `URL`: `http://host:port`, or `https` for TLS, with more hosts after commas.
    #[serde(deserialize_with = "text")]
    pub url: String,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub default_timeout: Option<f64>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub attempt_timeout: Option<f64>,
    #[serde(deserialize_with = "some_whole::<_, _, 0, 60_000>")]
    pub deadline_margin_ms: Option<u64>,
    #[serde(deserialize_with = "some_switch")]
    pub enable_retry: Option<bool>,
    #[serde(deserialize_with = "some_whole::<_, _, 0, 10>")]
    pub max_retries: Option<u32>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub retry_backoff_base: Option<f64>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub retry_backoff_max: Option<f64>,
    #[serde(deserialize_with = "some_number::<_, 1, 100>")]
    pub retry_backoff_multiplier: Option<f64>,
    #[serde(deserialize_with = "some_number::<_, 0, 1>")]
    pub retry_budget_ratio: Option<f64>,
    #[serde(deserialize_with = "some_whole::<_, _, 0, 1_000>")]
    pub retry_budget_burst: Option<u32>,
    #[serde(deserialize_with = "some_whole::<_, _, 0, MAX_BYTES>")]
    pub retry_buffer_bytes: Option<usize>,
    #[serde(deserialize_with = "some_switch")]
    pub enable_circuit_breaker: Option<bool>,
    #[serde(deserialize_with = "some_whole::<_, _, 1, 100>")]
    pub circuit_breaker_threshold: Option<u32>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub circuit_breaker_timeout: Option<f64>,
    #[serde(deserialize_with = "some_whole::<_, _, 1, 100>")]
    pub circuit_breaker_probes: Option<u32>,
    #[serde(deserialize_with = "some_whole::<_, _, 1_024, MAX_BYTES>")]
    pub max_message_size: Option<usize>,
    pub compression: Option<Compression>,
    #[serde(deserialize_with = "some_whole::<_, _, 1, 64>")]
    pub connections: Option<usize>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub connect_timeout: Option<f64>,
    #[serde(deserialize_with = "some_number::<_, 0, DAY_SECONDS>")]
    pub resolve_interval: Option<f64>,
    #[serde(deserialize_with = "some_whole::<_, _, 0, DAY_MS>")]
    pub keepalive_time_ms: Option<u64>,
    #[serde(deserialize_with = "some_whole::<_, _, 1, DAY_MS>")]
    pub keepalive_timeout_ms: Option<u64>,
    pub tls: Option<ClientTlsConfig>,
    pub auth: Option<ClientAuthConfig>,
}

/// A setting that cannot be used: its key and what it may be, never its value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientConfigError {
    /// A number beyond its bounds.
    #[error("{key} must be {bounds}")]
    OutOfBounds {
        /// The full key.
        key: String,
        /// What it may be.
        bounds: &'static str,
    },
    /// A target that is nowhere, or a token that is no header value.
    #[error("{key} {problem}")]
    Malformed {
        /// The full key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl ClientConfigError {
    /// The full key of the setting.
    pub fn key(&self) -> &str {
        match self {
            Error::OutOfBounds { key, .. } | Error::Malformed { key, .. } => key,
        }
    }

    /// The same by the setting's path, for [`Layers`](crate::settings::Layers).
    pub fn refusal(&self) -> Refusal {
        let message = self.to_string();
        let message = message.trim_start_matches(self.key()).trim_start();
        (self.key().to_ascii_lowercase().replace("__", "."), message.to_owned())
    }
}

/// Longer times are mistakes, and would overflow a clock.
const MAX_SECONDS: f64 = DAY_SECONDS as f64;

impl ClientConfig {
    /// Checks what a type cannot, for all targets.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), Error> {
        self.check_under("GRPC__CLIENT__")?;
        for (name, target) in &self.targets {
            let prefix = format!("GRPC__CLIENT__TARGETS__{}__", name.to_uppercase());
            self.with(target).check_under(&prefix)?;
            super::balance::target::Target::parse(&target.url)
                .map_err(|problem| Error::Malformed { key: format!("{prefix}URL"), problem })?;
        }
        Ok(())
    }

    /// The settings of one target: what it says itself, else what is said for all.
    pub(super) fn with(&self, target: &TargetConfig) -> Self {
        let mut settings = Self { targets: BTreeMap::new(), ..self.clone() };
        macro_rules! take {
            ($($field:ident),* $(,)?) => {
                $(if let Some(value) = &target.$field { settings.$field = value.clone(); })*
            };
        }
        take!(default_timeout, attempt_timeout, deadline_margin_ms, enable_retry, max_retries);
        take!(retry_backoff_base, retry_backoff_max, retry_backoff_multiplier);
        take!(retry_budget_ratio, retry_budget_burst, retry_buffer_bytes);
        take!(enable_circuit_breaker, circuit_breaker_threshold, circuit_breaker_timeout);
        take!(
            circuit_breaker_probes,
            max_message_size,
            compression,
            connections,
            connect_timeout,
            resolve_interval
        );
        take!(keepalive_time_ms, keepalive_timeout_ms, tls, auth);
        settings
    }

    fn check_under(&self, prefix: &str) -> Result<(), Error> {
        let bounds = |holds: bool, key: &str, bounds| {
            if holds { Ok(()) } else { Err(Error::OutOfBounds { key: format!("{prefix}{key}"), bounds }) }
        };
        let seconds = |value: f64| (0.0..=MAX_SECONDS).contains(&value);
        let positive = |value: f64| value > 0.0 && value <= MAX_SECONDS;
        bounds(seconds(self.default_timeout), "DEFAULT_TIMEOUT", "0 to 86400")?;
        bounds(seconds(self.attempt_timeout), "ATTEMPT_TIMEOUT", "0 to 86400")?;
        bounds(self.max_retries <= 10, "MAX_RETRIES", "0 to 10")?;
        bounds(seconds(self.retry_backoff_base), "RETRY_BACKOFF_BASE", "0 to 86400")?;
        bounds(
            seconds(self.retry_backoff_max) && self.retry_backoff_max >= self.retry_backoff_base,
            "RETRY_BACKOFF_MAX",
            "RETRY_BACKOFF_BASE to 86400",
        )?;
        bounds(
            (1.0..=100.0).contains(&self.retry_backoff_multiplier),
            "RETRY_BACKOFF_MULTIPLIER",
            "1 to 100",
        )?;
        bounds((0.0..=1.0).contains(&self.retry_budget_ratio), "RETRY_BUDGET_RATIO", "0 to 1")?;
        bounds(self.retry_budget_burst <= 1000, "RETRY_BUDGET_BURST", "0 to 1000")?;
        bounds(self.retry_buffer_bytes <= 1 << 30, "RETRY_BUFFER_BYTES", "0 to 1073741824")?;
        bounds((1..=100).contains(&self.circuit_breaker_threshold), "CIRCUIT_BREAKER_THRESHOLD", "1 to 100")?;
        bounds(positive(self.circuit_breaker_timeout), "CIRCUIT_BREAKER_TIMEOUT", "above 0, to 86400")?;
        bounds((1..=100).contains(&self.circuit_breaker_probes), "CIRCUIT_BREAKER_PROBES", "1 to 100")?;
        bounds((1024..=1 << 30).contains(&self.max_message_size), "MAX_MESSAGE_SIZE", "1024 to 1073741824")?;
        bounds((1..=64).contains(&self.connections), "CONNECTIONS", "1 to 64")?;
        bounds(positive(self.connect_timeout), "CONNECT_TIMEOUT", "above 0, to 86400")?;
        bounds(positive(self.resolve_interval), "RESOLVE_INTERVAL", "above 0, to 86400")?;
        bounds(
            self.keepalive_time_ms == 0 || self.keepalive_timeout_ms > 0,
            "KEEPALIVE_TIMEOUT_MS",
            "above 0 while KEEPALIVE_TIME_MS is",
        )?;
        match &self.auth.token {
            Some(token) if super::credentials::bearer(token).is_none() => Err(Error::Malformed {
                key: format!("{prefix}AUTH__TOKEN"),
                problem: "contains characters no header may have",
            }),
            _ => Ok(()),
        }
    }
}

/// Seconds that were [checked](ClientConfig::check) before.
pub(super) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// Seconds where 0 means "none".
pub(super) fn some_seconds(value: f64) -> Option<Duration> {
    (value > 0.0).then(|| seconds(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn check(settings: Value) -> Result<ClientConfig, String> {
        let config: ClientConfig = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_defaults_can_be_used() {
        let config = check(json!({})).expect("the defaults");
        assert_eq!((config.default_timeout, config.max_retries), (30.0, 3));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (settings, key) in [
            (json!({"max_retries": 11}), "must be a whole number from 0 to 10"),
            (json!({"default_timeout": -1}), "must be a number from 0 to 86400"),
            (json!({"connect_timeout": 0}), "GRPC__CLIENT__CONNECT_TIMEOUT"),
            (json!({"retry_backoff_max": 0.5}), "GRPC__CLIENT__RETRY_BACKOFF_MAX"),
            (json!({"auth": {"token": "hunter2\n"}}), "GRPC__CLIENT__AUTH__TOKEN"),
            (json!({"targets": {"a": {"url": "ftp://x:1"}}}), "GRPC__CLIENT__TARGETS__A__URL"),
            (
                json!({"targets": {"a": {"url": "http://x:1", "resolve_interval": 0}}}),
                "GRPC__CLIENT__TARGETS__A__RESOLVE_INTERVAL",
            ),
            (json!({"max_retry": 1}), "unknown field `max_retry`"),
        ] {
            let error = check(settings).expect_err(key);
            assert!(error.starts_with(key), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn a_target_overrides_what_it_names() {
        let settings =
            json!({"max_retries": 1, "targets": {"a": {"url": "http://x:1", "default_timeout": 2.5}}});
        let config = check(settings).expect("settings");
        let target = config.with(&config.targets["a"]);
        assert_eq!((target.default_timeout, target.max_retries), (2.5, 1));
    }

    #[test]
    fn every_number_is_safe_to_use() {
        for value in [f64::NAN, f64::INFINITY, -0.1, 1e300] {
            let config = ClientConfig { default_timeout: value, ..ClientConfig::default() };
            assert!(config.check().is_err(), "{value}");
        }
    }

    proptest! {
        /// What is read can be used, and says what is wrong if it cannot: no value makes it panic, at the start or later.
        #[test]
        fn any_settings_are_refused_or_used(
            key in "default_timeout|retry_backoff_(base|max|multiplier)|retry_budget_(ratio|burst)|max_retries|\\PC{0,12}",
            number in any::<f64>(),
            text in "\\PC{0,20}",
            kind in 0_u8..4,
        ) {
            let value = match kind {
                0 => json!(number),
                1 => json!(number as i64),
                2 => json!(text),
                _ => json!({"a": {"url": text, "connections": number as i64}}),
            };
            let key = if kind == 3 { "targets".to_owned() } else { key };
            if let Ok(config) = check(json!({ key: value })) {
                super::super::ClientFactory::from_config(config).expect("checked").channel("http://a:1").expect("a URL");
            }
        }
    }
}
