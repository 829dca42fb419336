//! Calls to other processes. What speaks over them decides nothing about them: this is the only place that does.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hive_application::clock::Clock;
use hive_grpc_kit::client::{
    Channel, ClientConfig, ClientFactory, Credentials, Propagate, ResponseBody, TargetConfig, TargetError,
    Token, TokenSource,
};
use hive_grpc_kit::failure::{Failure as CallFailure, Kind};
use hive_grpc_kit::health::DESCRIPTOR as HEALTH;
use hive_grpc_kit::methods::Method;
use hive_grpc_kit::server::config::{AuthMode, Secret};
use hive_jwt::ServiceToken;
use hive_peers::grpc::Caller;
use hive_proto::grpc;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::clock::SystemClock;
use crate::exit::Failure;
use crate::roles::{Role, Roles};
use crate::settings::Settings;
use crate::telemetry::traces;

/// Connections for streams: a server bounds the calls of one.
const STREAM_CONNECTIONS: usize = 16;
/// Calls at once to one neighbour; more wait, so that those who share it do not fill its server.
const CALLS: usize = 48;
/// How long a call may take (gRPC over HTTP/2, "Timeout").
const TIMEOUT: &str = "grpc-timeout";

/// The contracts: which calls may be sent again, and which answer with a stream.
const DESCRIPTORS: [&[u8]; 6] = [
    grpc::EXECUTION_DESCRIPTOR_SET,
    grpc::DISPATCH_DESCRIPTOR_SET,
    grpc::TICKET_SERVICE_DESCRIPTOR_SET,
    grpc::ORCHESTRATOR_DESCRIPTOR_SET,
    grpc::SERVICE_REGISTRY_DESCRIPTOR_SET,
    HEALTH,
];

/// A neighbour: its service, and what to call it in errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neighbour {
    service: &'static str,
    streams: &'static str,
    health: &'static str,
    name: &'static str,
}

/// The tickets.
pub(super) const TICKETS: Neighbour = Neighbour {
    service: "execution-ticket-service",
    streams: "execution-ticket-service-streams",
    health: "execution-ticket-service-health",
    name: "the ticket service",
};

/// The registry.
pub(super) const REGISTRY: Neighbour = Neighbour {
    service: "service-registry",
    streams: "service-registry-streams",
    health: "service-registry-health",
    name: "the service registry",
};

/// The clients of the process.
#[derive(Debug)]
pub(crate) struct Clients {
    /// For those that may see our token.
    trusting: ClientFactory,
    /// For the others.
    silent: ClientFactory,
    in_clear: bool,
    targets: BTreeMap<String, TargetConfig>,
}

impl Clients {
    /// The clients of a process that calls these neighbours, each at its URL.
    pub(super) fn of_neighbours(
        settings: &Settings,
        neighbours: &[(Neighbour, String)],
    ) -> Result<Self, Failure> {
        let mut targets = BTreeMap::new();
        for (neighbour, url) in neighbours {
            let calls = TargetConfig { url: url.clone(), ..TargetConfig::default() };
            // Whoever follows a stream opens another one where it got to.
            let streams = TargetConfig {
                enable_retry: Some(false),
                connections: Some(STREAM_CONNECTIONS),
                ..calls.clone()
            };
            targets.insert(neighbour.streams.to_owned(), streams);
            // Asked for the truth, now.
            let health = TargetConfig {
                enable_retry: Some(false),
                enable_circuit_breaker: Some(false),
                connections: Some(1),
                ..calls.clone()
            };
            targets.insert(neighbour.health.to_owned(), health);
            targets.insert(neighbour.service.to_owned(), calls);
        }
        Self::new(settings, ClientConfig { targets, ..settings.grpc.client.clone() })
    }

    /// The clients of a command, which decides itself whether to call again.
    pub(crate) fn of_command(settings: &Settings) -> Result<Self, Failure> {
        let config = ClientConfig {
            enable_retry: false,
            enable_circuit_breaker: false,
            connections: 1,
            ..settings.grpc.client.clone()
        };
        Self::new(settings, config)
    }

    fn new(settings: &Settings, config: ClientConfig) -> Result<Self, Failure> {
        let targets = config.targets.clone();
        let mut silent = config.clone();
        silent.auth.token = None;
        let signed = settings.grpc.credentials().filter(|_| config.auth.token.is_none());
        let mut trusting = factory(config)?;
        if let Some(token) = signed {
            trusting = trusting.credentials(Credentials::new(Signed(token)));
        }
        Ok(Clients { trusting, silent: factory(silent)?, in_clear: settings.peers.in_clear, targets })
    }

    /// The way to a server by its URL, or to a neighbour by its name. It is reached with the first call.
    pub(crate) fn channel(&self, name: &str) -> Result<Channel, TargetError> {
        let url = self.targets.get(name).map_or(name, |target| &*target.url);
        let factory = if self.in_clear || is_private(url) { &self.trusting } else { &self.silent };
        factory.channel(name)
    }

    /// The way to a neighbour, which has so long to answer.
    pub(super) fn caller(&self, to: Neighbour, timeout: Duration) -> Result<Caller<Link>, Failure> {
        let calls = Bound::Calls { places: Arc::new(Semaphore::new(CALLS)), timeout };
        let calls = Link { channel: self.channel(to.service).map_err(wrong)?, bound: calls };
        let streams = self.channel(to.streams).map_err(wrong)?;
        let streams = Link { channel: streams, bound: Bound::Streams { opening: timeout } };
        Ok(Caller { calls, streams, timeout, name: to.name })
    }

    /// The way to a neighbour to ask how it is.
    pub(super) fn health(&self, of: Neighbour) -> Result<(&'static str, Channel), Failure> {
        Ok((of.service, self.channel(of.health).map_err(wrong)?))
    }
}

fn factory(config: ClientConfig) -> Result<ClientFactory, Failure> {
    let mut factory = ClientFactory::from_config(config).map_err(wrong)?.propagate(Arc::new(Traced));
    for descriptor in DESCRIPTORS {
        let defect = hive_application::error::Error::internal;
        factory = factory.services(descriptor).map_err(|error| Failure::Defect(defect(error)))?;
    }
    Ok(factory)
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("wrong settings\n{error}"))
}

/// Whether what is sent there stays on this machine, or is encrypted.
fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
    uri.scheme() == Some(&Scheme::HTTPS) || is_loopback
}

/// Refuses to start where calls to other processes could never succeed, or would give away what they show.
pub(crate) fn check(settings: &Settings, roles: &Roles) -> Result<(), Failure> {
    if [Role::Tickets, Role::Registry, Role::Orchestration].into_iter().any(|role| roles.has(role)) {
        settings.grpc.server.tls.check().map_err(wrong)?;
    }
    if !roles.has(Role::Orchestration) && !roles.has(Role::Agent) {
        return Ok(());
    }
    let (client, server) = (&settings.grpc.client, &settings.grpc.server);
    let is_tls = settings.peers.scheme() == "https";
    let peers = [(Role::Tickets, settings.peers.tickets()), (Role::Registry, settings.peers.registry())];
    let remote = peers.into_iter().filter(|(role, _)| !roles.has(*role));
    for (role, url) in remote {
        if is_tls {
            client.tls.check().map_err(wrong)?;
        }
        let whose = format!("{} is served by another process", role.service());
        if server.tls.cert.is_some() && !is_tls {
            let text =
                format!("GRPC__CLIENT__TLS__ENABLED must be true with GRPC__SERVER__TLS__CERT: {whose}");
            return Err(wrong(text));
        }
        if server.auth_mode(settings.environment) != AuthMode::Required {
            continue;
        }
        let shows_something = client.auth.token.is_some() || (is_tls && client.tls.cert.is_some());
        if !shows_something && settings.grpc.credentials().is_none() {
            return Err(wrong(format!(
                "GRPC__SERVER__AUTH__JWT_SECRET, GRPC__CLIENT__AUTH__TOKEN or GRPC__CLIENT__TLS__CERT is needed: \
                 calls have to show something, and {whose}"
            )));
        }
        if !is_private(&url) && !settings.peers.in_clear {
            return Err(wrong(format!(
                "GRPC__CLIENT__TLS__ENABLED must be true, or GRPC__CLIENT__AUTH__IN_CLEAR: calls have to show a token, \
                 and {whose} on another machine"
            )));
        }
    }
    Ok(())
}

/// Signs tokens when they are needed.
struct Signed(ServiceToken);

impl TokenSource for Signed {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Token, CallFailure>> + Send + '_>> {
        let signed = self.0.sign(SystemClock.now()).map_err(CallFailure::internal);
        let valid_for = Some(ServiceToken::SHOWN_FOR);
        Box::pin(ready(signed.map(|text| Token { text: Secret::new(text), valid_for })))
    }
}

/// Calls continue the trace they are made in.
struct Traced;

impl Propagate for Traced {
    fn inject(&self, _: &Method, headers: &mut HeaderMap) {
        traces::inject(headers);
    }
}

/// The way to a neighbour, with what bounds the calls on it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    channel: Channel,
    bound: Bound,
}

#[derive(Debug, Clone)]
enum Bound {
    /// So many at a time, each with so long in all, the wait for its place included.
    Calls { places: Arc<Semaphore>, timeout: Duration },
    /// Each with so long until it is open.
    Streams { opening: Duration },
}

impl Service<Request<Body>> for Link {
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Link { channel, bound } = self.clone();
        match bound {
            Bound::Calls { places, timeout } => Box::pin(call(channel, places, timeout, request)),
            Bound::Streams { opening } => Box::pin(open(channel, opening, request)),
        }
    }
}

async fn call(
    mut channel: Channel,
    places: Arc<Semaphore>,
    timeout: Duration,
    mut request: Request<Body>,
) -> Result<Response<ResponseBody>, Status> {
    let until = Instant::now() + timeout;
    let Ok(Ok(_place)) = timeout_at(until, places.acquire()).await else {
        let late =
            CallFailure::new(Kind::DeadlineExceeded, "the time is up: too many calls wait for the neighbour");
        return Err(late.untouched().into());
    };
    let left = until.duration_since(Instant::now()).as_millis().max(1);
    if let Ok(left) = HeaderValue::try_from(format!("{left}m")) {
        request.headers_mut().insert(TIMEOUT, left);
    }
    channel.call(request).await
}

async fn open(
    mut channel: Channel,
    opening: Duration,
    request: Request<Body>,
) -> Result<Response<ResponseBody>, Status> {
    match timeout(opening, channel.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(CallFailure::new(Kind::DeadlineExceeded, "the stream was not opened in time").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_where_nobody_else_reads_them() {
        for url in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://tickets.example:1"]
        {
            assert!(is_private(url), "{url}");
        }
        for url in
            ["http://tickets:1", "http://10.0.0.1:1", "http://localhost.example:1", "http://a:1,b:2", ""]
        {
            assert!(!is_private(url), "{url}");
        }
    }
}
