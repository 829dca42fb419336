//! Registering services: each brings its descriptor, and routing, reflection and health follow from the same call, so
//! they cannot disagree.

use std::sync::Arc;

use tonic::server::NamedService;

use super::{
    config::{AuthMode, Config, ConfigError, Environment},
    connection::{Entry, Transport},
    peers::Peers,
    reflection,
    router::{Servicer, Servicers},
    serve::{Server, Upkeep},
    stack::{self, Parts},
};
use crate::{
    access_log::AccessLog,
    auth::Verifier,
    health::{self, HealthReporter, HealthServicer, proto::health_server::HealthServer},
    layer::{auth::AccessRules, metrics::MetricsLayer},
    methods::{DescriptorError, Methods},
    tls::{ServerTls, TlsError},
    trace_context::SpanLink,
};

/// Why a server could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A service does not fit its descriptor.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// Reflection cannot be built from the descriptors.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A server being put together.
#[derive(Debug)]
pub struct ServerBuilder {
    config: Config,
    environment: Environment,
    servicers: Servicers,
    services: Vec<(String, &'static [u8])>,
    health: HealthReporter,
    parts: Parts,
}

impl ServerBuilder {
    /// A server with these settings and no service yet.
    pub fn new(config: Config, environment: Environment) -> Self {
        Self {
            config,
            environment,
            servicers: Servicers::default(),
            services: Vec::new(),
            health: HealthReporter::new(),
            parts: Parts::default(),
        }
    }

    /// Mounts a generated servicer, with the encoded file descriptor set that declares it. Make the servicer with
    /// [`servicer!`](crate::servicer), so that the server's message limit is the only one.
    #[must_use]
    pub fn register<S>(mut self, servicer: S, descriptor: &'static [u8]) -> Self
    where
        S: Servicer + NamedService,
    {
        self.servicers.add(S::NAME, servicer);
        self.services.push((S::NAME.to_owned(), descriptor));
        self
    }

    /// Where dependencies report.
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// Logs calls there.
    #[must_use]
    pub fn access_log(mut self, log: AccessLog) -> Self {
        self.parts.access_log = Some(log);
        self
    }

    /// Joins call spans to the tracing system in use.
    #[must_use]
    pub fn span_link(mut self, link: Arc<dyn SpanLink>) -> Self {
        self.parts.span_link = Some(link);
        self
    }

    /// Verifies tokens with this instead of the configured keys, for instance to rotate them. Of `AUTH__*` only the mode
    /// counts then: what tokens must say, and [how often they may be invalid](Verifier::with_failures_per_minute), is
    /// up to it. [`Config::verifier`] makes one by all of them.
    #[must_use]
    pub fn verifier(mut self, verifier: Arc<Verifier>) -> Self {
        self.parts.verifier = Some(verifier);
        self
    }

    /// Which methods are public, and which need scopes or certificates. While `AUTH__MODE` is off no rule counts, so
    /// those that name certificates are refused then; in development only where `TLS__CLIENT_CA` asks for certificates.
    #[must_use]
    pub fn access(mut self, rules: AccessRules) -> Self {
        self.parts.access = rules;
        self
    }

    /// Checks everything and puts it together. Opens no socket. Metric series are registered here, so the process's
    /// recorder has to be installed before.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn build(mut self) -> Result<Server, BuildError> {
        let environment = self.environment;
        let mode = self.config.auth_mode(environment);
        if self.parts.verifier.is_none() {
            self.parts.verifier = self.config.verifier(environment)?.map(Arc::new);
        }
        self.config.check_apart_from_keys(environment)?;
        let tls = ServerTls::new(&self.config.tls)?;
        let mut methods = Methods::empty();
        for (service, descriptor) in &self.services {
            methods.add(service, descriptor)?;
            self.health.add_service(service);
        }
        self.check_names(&methods)?;
        self.check_identities(environment)?;
        let operations = self.operations(&mut methods)?.into_router();
        let reflection = self.config.reflection_auth_mode(environment);
        let methods = Arc::new(methods);
        let metrics = MetricsLayer::new(Arc::clone(&methods));
        let services = self.servicers.into_router();
        let verifier = self.parts.verifier.clone();
        let of_operations = (reflection, verifier.clone());
        let operations =
            stack::operations_stack(&self.config, of_operations, &methods, metrics.clone(), operations);
        let entry = Entry {
            services: stack::stack(&self.config, mode, &methods, metrics, self.parts, services),
            operations,
            health: self.config.health_check_enabled,
            reflection: self.config.reflection_enabled,
        };
        let transport = (Transport::new(&self.config), Peers::new(self.config.connections_of_an_address()));
        let address = self.config.address(environment);
        let upkeep = Upkeep { tls, verifier };
        Ok(Server::new((entry, methods), transport, upkeep, self.config, address, self.health))
    }

    /// A name that matches nothing would open or close another door than was meant.
    fn check_names(&self, methods: &Methods) -> Result<(), ConfigError> {
        let unknown = |key, name: &str| Err(ConfigError::UnknownMethod { key, name: name.to_owned() });
        if let Some(name) = self.parts.access.unmatched(methods) {
            return unknown("an access rule", name);
        }
        if let Some(name) = self.health.unknown_dependent() {
            return unknown("a dependency of health", &name);
        }
        let paths = &self.config.limits.low_priority_methods;
        match paths.iter().find(|path| !methods.all().iter().any(|method| *method.path == ***path)) {
            Some(path) => unknown("GRPC__SERVER__LIMITS__LOW_PRIORITY_METHODS", path),
            None => Ok(()),
        }
    }

    /// Certificates are asked for whatever the mode, so a server would seem to go by these rules when it does not. In
    /// development everything is open, and without an authority there is no certificate to go by.
    fn check_identities(&self, environment: Environment) -> Result<(), ConfigError> {
        let off = self.config.auth_mode(environment) == AuthMode::Off;
        let at_a_desk = environment == Environment::Development && self.config.tls.client_ca.is_none();
        if !off || at_a_desk || self.parts.access.identities.is_empty() {
            return Ok(());
        }
        Err(ConfigError::OutOfBounds {
            key: "GRPC__SERVER__AUTH__MODE",
            bounds: "optional or required while access rules name certificates",
        })
    }

    fn operations(&self, methods: &mut Methods) -> Result<Servicers, BuildError> {
        let mut servicers = Servicers::default();
        let mut services: Vec<String> = self.services.iter().map(|(service, _)| service.clone()).collect();
        let mut descriptors: Vec<&'static [u8]> =
            self.services.iter().map(|(_, descriptor)| *descriptor).collect();
        if self.config.health_check_enabled {
            methods.add(health::SERVICE, health::DESCRIPTOR)?;
            // One for each client is what a client needs.
            let servicer =
                HealthServicer::new(self.health.clone()).at_most(self.config.limits.max_connections);
            servicers.add(health::SERVICE, HealthServer::new(servicer));
            services.push(health::SERVICE.to_owned());
            descriptors.push(health::DESCRIPTOR);
        }
        if self.config.reflection_enabled {
            methods.add(reflection::V1, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)?;
            methods.add(reflection::V1_ALPHA, tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)?;
            reflection::mount(&mut servicers, &services, &descriptors)?;
        }
        Ok(servicers)
    }
}

/// A generated server around a servicer, without limits of its own on message sizes: the server's MAX_MESSAGE_SIZE is
/// the one that counts.
///
/// `servicer!(EchoServer, Echo::default())` is `EchoServer::new(Echo::default())` with those limits lifted. With the
/// server's settings as a third argument, `servicer!(EchoServer, Echo::default(), &config)`, it also has their
/// compression.
#[macro_export]
macro_rules! servicer {
    ($server:ident $(:: $rest:ident)*, $servicer:expr $(,)?) => {
        $server $(:: $rest)* ::new($servicer)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    };
    ($server:ident $(:: $rest:ident)*, $servicer:expr, $config:expr $(,)?) => {{
        let config: &$crate::server::config::Config = $config;
        let (compression, max) = (config.compression, config.max_message_size);
        $crate::__with_compression!($server $(:: $rest)* ::new($servicer), compression, max)
    }};
}
