//! The ports: which server listens where, and how all of them end together.
//!
//! | file | owns |
//! | --- | --- |
//! | `grpc` | one gRPC server a role |
//! | `servicer` | what every servicer gets from the kit: the caller's name, the end of streams |
//! | `http` | the REST interfaces and the scrape port |
//! | `gate` | tokens of REST callers |
//! | `ready` | whether what is needed answers |
//! | `metrics` | the recorder of what is measured |

mod gate;
mod grpc;
mod http;
pub(crate) mod metrics;
mod ready;
mod servicer;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hive_grpc_kit::auth::Verifier;
use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::health::ServingStatus;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::server::serve::Server;
use hive_http::health::Health;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::contracts;
use crate::exit::Failure;
use crate::roles::{Role, Roles};
use crate::serve::gate::Gate;
use crate::serve::metrics::Metrics;
use crate::serve::ready::Check;
use crate::settings::{Effective, Settings};
use crate::signals::Signals;
use crate::telemetry::Told;
use crate::wire::Hive;

/// How the port of the tickets is called.
const TICKETS: &str = "tickets";

/// What is to be served, checked before anything starts.
pub(crate) struct Plan {
    config: Config,
    environment: Environment,
    roles: Roles,
    service: String,
    ports: Vec<(Port, u16)>,
    gate: Gate,
    told: Told,
}

/// What listens on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Grpc(Role, &'static str),
    Http(&'static str),
}

impl Plan {
    /// Checks the settings of all servers.
    pub(crate) fn check(settings: &Settings, roles: &Roles, effective: &Effective) -> Result<Self, Failure> {
        let wrong = |message: String| Failure::Usage(format!("wrong settings\n{message}"));
        let (config, environment) = (settings.grpc.server.clone(), settings.environment);
        settings.flat.check(roles).map_err(|error| wrong(error.to_string()))?;
        config.check(environment).map_err(|error| wrong(error.to_string()))?;
        let verifier = config.verifier(environment).map_err(|error| wrong(error.to_string()))?;
        if config.auth.jwt_secret.is_none()
            && environment != Environment::Development
            && roles.has(Role::Tickets)
        {
            return Err(wrong("JWT_SECRET_KEY is needed to sign the tokens of tickets".to_owned()));
        }
        let gate = Gate::new(config.auth_mode(environment), verifier.map(Arc::<Verifier>::new));
        let service = settings.flat.service(roles).unwrap_or(roles.service()).to_owned();
        let mut ports = Vec::new();
        for (role, name) in
            [(Role::Registry, "registry"), (Role::Tickets, TICKETS), (Role::Orchestration, "orchestration")]
        {
            if roles.has(role) && config.enabled {
                let port = settings.grpc_port(role, roles, effective);
                ports.push((Port::Grpc(role, name), port.map_err(|error| wrong(error.to_string()))?));
            }
        }
        ports.push((Port::Http("http"), settings.http_port));
        ports.push((Port::Http("metrics"), settings.prometheus_port));
        Ok(Plan { config, environment, roles: roles.clone(), service, ports, gate, told: Told::default() })
    }

    /// The same, with servers that tell what they do.
    pub(crate) fn telling(self, told: Told) -> Self {
        Plan { told, ..self }
    }

    /// The threads that serve.
    pub(crate) fn runtime(&self) -> Result<Runtime, Failure> {
        self.config.runtime().map_err(|error| Failure::Usage(format!("threads cannot be started: {error}")))
    }

    /// Milliseconds that what runs has to finish.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.config.shutdown.drain_ms)
    }

    /// The servers around the contexts.
    pub(crate) fn servers(
        self,
        hive: &Hive,
        metrics: &Arc<Metrics>,
        failed: Arc<Notify>,
        sockets: &Sockets,
    ) -> Result<Servers, Failure> {
        let drain = self.drain();
        let api = hive.tickets.as_ref().map(|tickets| {
            http::ticket_api(tickets, &hive.ground, &self.config.auth)
                .map_err(|error| Failure::Usage(format!("wrong settings\nJWT_SECRET_KEY: {error}")))
        });
        let api = api.transpose()?;
        let (mut grpc, mut tickets_health) = (Vec::new(), None);
        for (port, _) in &self.ports {
            if let Port::Grpc(role, _) = port {
                let builder = self.builder(*role);
                let server = grpc::server(*role, &self.config, builder, hive, api.as_ref(), &failed)?;
                if *role == Role::Tickets {
                    tickets_health = server.as_ref().map(Server::health);
                }
                grpc.extend(server);
            }
        }
        let reporters: Vec<_> = grpc.iter().map(Server::health).collect();
        let databases = ready::databases(hive, &reporters);
        let checks = databases.iter().cloned().chain(ready::neighbours(hive, &self.roles));
        let health = Health::new(&self.service, env!("CARGO_PKG_VERSION"), checks);
        let health = match (sockets.tickets_port(), tickets_health) {
            (Some(port), Some(tickets)) => {
                health.with_grpc(port, Arc::new(move || tickets.status("") == Some(ServingStatus::Serving)))
            }
            _ => health,
        };
        let http = http::routers(hive, api, &self.gate, metrics, health, &failed);
        let http = http.map(|routes| self.told.by_http(routes));
        Ok(Servers { grpc, http, drain, databases, failed, gate: self.gate })
    }

    /// A server of gRPC without services. All of them verify tokens as REST does.
    fn builder(&self, role: Role) -> ServerBuilder {
        let config = contracts::of_role(role, &self.config);
        let builder = self.told.by_grpc(ServerBuilder::new(config, self.environment));
        match self.gate.verifier() {
            Some(verifier) => builder.verifier(Arc::clone(verifier)),
            None => builder,
        }
    }

    fn host(&self) -> IpAddr {
        self.config.address(self.environment).ip()
    }
}

/// The open ports, in the order of [`Plan`].
pub(crate) struct Sockets {
    grpc: Vec<(&'static str, TcpListener)>,
    http: Vec<(&'static str, TcpListener)>,
}

impl Sockets {
    /// Opens all ports.
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        let (mut grpc, mut http) = (Vec::new(), Vec::new());
        for (kind, port) in &plan.ports {
            let (name, sockets) = match kind {
                Port::Grpc(_, name) => (*name, &mut grpc),
                Port::Http(name) => (*name, &mut http),
            };
            let address = SocketAddr::new(plan.host(), *port);
            let listener = TcpListener::bind(address).await;
            let listener =
                listener.map_err(|error| Failure::Usage(format!("port of {name}: {address}: {error}")))?;
            sockets.push((name, listener));
        }
        Ok(Sockets { grpc, http })
    }
}

impl Sockets {
    /// Where the tickets answer over gRPC, if they do.
    fn tickets_port(&self) -> Option<u16> {
        let (_, listener) = self.grpc.iter().find(|(name, _)| *name == TICKETS)?;
        listener.local_addr().ok().map(|address| address.port())
    }
}

/// One line a port.
impl fmt::Display for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, sockets) in [("grpc", &self.grpc), ("http", &self.http)] {
            for (name, listener) in sockets {
                match listener.local_addr() {
                    Ok(address) => writeln!(f, "hive: {name} serves {kind} on {address}")?,
                    Err(_) => writeln!(f, "hive: {name} serves {kind}")?,
                }
            }
        }
        Ok(())
    }
}

/// Every server, ready to serve.
pub(crate) struct Servers {
    grpc: Vec<Server>,
    http: [Router; 2],
    drain: Duration,
    databases: Vec<Check>,
    /// Told when something failed because a database may be away.
    failed: Arc<Notify>,
    gate: Gate,
}

impl Servers {
    /// Serves until a signal, and begins the shutdown then; what runs has the drain time to finish, or until the second
    /// signal.
    pub(crate) async fn serve(self, sockets: Sockets, shutdown: &Shutdown, signals: &mut Signals) {
        let mut running = tokio::task::JoinSet::new();
        for (server, (_, listener)) in self.grpc.into_iter().zip(sockets.grpc) {
            let shutdown = shutdown.clone();
            running.spawn(async move {
                server.serve(listener, &shutdown).await;
            });
        }
        for (router, (_, listener)) in self.http.into_iter().zip(sockets.http) {
            running.spawn(http::serve(router, listener, shutdown.clone(), self.drain));
        }
        tokio::select! {
            () = signals.stop() => {}
            () = ready::follow(self.databases, self.failed) => {}
            () = self.gate.keep_up_to_date() => {}
        }
        tracing::info!("draining");
        shutdown.drain();
        let drained = async { while running.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => {}
            () = signals.stop() => shutdown.stop(),
        }
    }
}
