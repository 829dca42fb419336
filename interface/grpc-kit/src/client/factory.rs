//! Makes channels by the settings: one for each target, however often it is asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::uri::Scheme;

use super::{
    balance::{
        Balance, PoolSettings,
        resolve::{Dns, Resolve},
        target::Target,
    },
    breaker::BreakerSettings,
    channel::{Channel, Layers},
    config::{ClientConfig, ClientConfigError, seconds, some_seconds},
    credentials::Credentials,
    deadline::DeadlineLayer,
    inject::{InjectLayer, Propagate},
    metrics::{self, MetricsLayer},
    retry::{RetryLayer, RetrySettings, backoff::Backoff, budget::Budget, replay::Shared},
};
use crate::{
    layer::message_limit::MessageLimitLayer,
    methods::{DescriptorError, Methods},
    tls::{ClientTls, TlsError},
};

/// The requests of full size that are kept at a time for a target; further ones are sent once.
const SHARED_BUFFERS: usize = 64;

/// Why there is no channel to a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither configured nor a URL. What was asked for is not told: it may be a URL with a password in it.
    #[error("the target is not configured, and {problem}")]
    Unknown {
        /// What keeps it from being a URL.
        problem: &'static str,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes channels. One a process, so that targets share their connections, breakers and budgets.
pub struct ClientFactory {
    config: ClientConfig,
    methods: Arc<Methods>,
    resolver: Arc<dyn Resolve>,
    propagate: Option<Arc<dyn Propagate>>,
    credentials: Option<Credentials>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl std::fmt::Debug for ClientFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientFactory").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ClientFactory {
    /// A factory with these settings, that resolves names by DNS.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn from_config(config: ClientConfig) -> Result<Self, ClientConfigError> {
        config.check()?;
        Ok(Self {
            config,
            methods: Arc::new(Methods::empty()),
            resolver: Arc::new(Dns),
            propagate: None,
            credentials: None,
            channels: Mutex::default(),
        })
    }

    /// Makes the services of an encoded file descriptor set known: which of their methods may be sent again, and which
    /// answer with a stream, so that no default timeout ends it. Methods that are not known are sent again only when
    /// they certainly changed nothing.
    ///
    /// # Errors
    /// When the bytes are no descriptor set.
    pub fn services(mut self, descriptor: &[u8]) -> Result<Self, DescriptorError> {
        Arc::make_mut(&mut self.methods).add_all(descriptor)?;
        Ok(self)
    }

    /// Resolves names with this instead of DNS.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Writes the present trace into calls.
    #[must_use]
    pub fn propagate(mut self, propagate: Arc<dyn Propagate>) -> Self {
        self.propagate = Some(propagate);
        self
    }

    /// Sends calls with these tokens, instead of the one configured for all targets.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The channel of a target: the name of a configured one, or a URL. Connects at the first call, in whose runtime
    /// the connections then run. Metric series are registered here, so the process's recorder has to be installed
    /// before.
    ///
    /// # Errors
    /// When it is neither, or the certificates for it cannot be used.
    pub fn channel(&self, name: &str) -> Result<Channel, TargetError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(name) {
            return Ok(channel.clone());
        }
        let (config, url) = match self.config.targets.get(name) {
            Some(target) => (self.config.with(target), &*target.url),
            None => (self.config.clone(), name),
        };
        let target = Target::parse(url).map_err(|problem| TargetError::Unknown { problem })?;
        let channel = self.build(&config, name, target)?;
        channels.insert(name.to_owned(), channel.clone());
        Ok(channel)
    }

    fn build(&self, config: &ClientConfig, name: &str, target: Target) -> Result<Channel, TlsError> {
        let methods = || Arc::clone(&self.methods);
        // What is said for one target goes before what is given for all of them.
        let own = self.config.targets.get(name).and_then(|target| target.auth.as_ref()?.token.clone());
        let shared = || self.credentials.clone().or(config.auth.token.clone().map(Credentials::new));
        let retry = RetrySettings {
            max_retries: if config.enable_retry { config.max_retries } else { 0 },
            backoff: Backoff {
                base: seconds(config.retry_backoff_base),
                max: seconds(config.retry_backoff_max),
                multiplier: config.retry_backoff_multiplier,
            },
            budget: Budget::new(config.retry_budget_ratio, config.retry_budget_burst),
            buffer_bytes: config.retry_buffer_bytes,
            shared: Shared::new(config.retry_buffer_bytes.saturating_mul(SHARED_BUFFERS)),
            attempt_timeout: some_seconds(config.attempt_timeout),
            retries: metrics::retries(name),
        };
        let layers = Layers {
            deadline: DeadlineLayer::new(methods(), some_seconds(config.default_timeout)),
            limit: MessageLimitLayer::new(config.max_message_size),
            retry: RetryLayer::new(methods(), retry),
            metrics: MetricsLayer::new(methods()),
            inject: InjectLayer {
                methods: methods(),
                propagate: self.propagate.clone(),
                credentials: own.map(Credentials::new).or_else(shared),
            },
        };
        let patience = Duration::from_millis(config.keepalive_timeout_ms);
        let every = crate::server::config::some_millis(config.keepalive_time_ms);
        let breaker = BreakerSettings {
            threshold: config.circuit_breaker_threshold,
            open_for: seconds(config.circuit_breaker_timeout),
            probes: config.circuit_breaker_probes,
        };
        let tls = match target.hosts.first() {
            Some(host) if target.scheme == Scheme::HTTPS => Some(ClientTls::new(&config.tls, &host.name)?),
            _ => None,
        };
        let pool = PoolSettings {
            tls,
            target,
            connections: config.connections,
            connect_timeout: seconds(config.connect_timeout),
            keep_alive: every.map(|every| (every, patience)),
            resolver: Arc::clone(&self.resolver),
            resolve_interval: seconds(config.resolve_interval),
            breaker: config.enable_circuit_breaker.then_some(breaker),
            gauges: metrics::endpoints(name),
        };
        let margin = Duration::from_millis(config.deadline_margin_ms);
        Ok(Channel::new(&layers, Balance::new(methods(), pool, margin), config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_or_a_url() {
        let config = serde_json::json!({"targets": {"tickets": {"url": "http://tickets:50052"}}});
        let config: ClientConfig = serde_json::from_value(config).expect("settings");
        let factory = ClientFactory::from_config(config).expect("a factory");
        factory.channel("tickets").expect("configured");
        factory.channel("http://127.0.0.1:1").expect("a URL");
        let error = factory.channel("other").expect_err("neither");
        assert_eq!(
            error.to_string(),
            "the target is not configured, and must begin with http:// or https://"
        );
    }
}
