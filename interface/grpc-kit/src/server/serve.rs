//! Serving until drained: accept, serve, and end in bounded time.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    config::Config,
    connection::{Entry, Transport},
};
use crate::{
    auth::{Principal, Verifier},
    call::Connection,
    drain::{Draining, Shutdown},
    health::{Dependency, HealthReporter},
    methods::Methods,
    tls::{ServerTls, spiffe_id},
};

/// How long to leave the system alone that has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server put together by [`ServerBuilder`](super::builder::ServerBuilder).
#[derive(Debug)]
pub struct Server {
    entry: Entry,
    methods: Arc<Methods>,
    transport: Transport,
    upkeep: Upkeep,
    config: Config,
    address: SocketAddr,
    health: HealthReporter,
}

/// What has to be kept up to date while a server serves.
#[derive(Clone, Debug)]
pub(super) struct Upkeep {
    pub(super) tls: Option<ServerTls>,
    pub(super) verifier: Option<Arc<Verifier>>,
}

impl Upkeep {
    /// What no call can be served without: the keys that are fetched. To be up once they were there.
    fn missing(&self, health: &HealthReporter) -> Option<Dependency> {
        self.verifier.as_ref()?.first_keys().map(|_| health.dependency("token keys"))
    }

    /// Certificates and keys, for as long as it is polled.
    async fn keep_up_to_date(&self, missing: Option<Dependency>) {
        let certificates = async {
            if let Some(tls) = &self.tls {
                tls.keep_up_to_date().await;
            }
        };
        let keys = async {
            if let Some(verifier) = &self.verifier {
                verifier.keep_up_to_date().await;
            }
        };
        let first = async {
            if let Some(verifier) = &self.verifier
                && let (Some(first), Some(missing)) = (verifier.first_keys(), missing)
            {
                first.await;
                missing.up();
            }
        };
        tokio::join!(certificates, keys, first);
        std::future::pending::<()>().await;
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off with calls still running; 0 when all finished in time.
    pub cut_off: usize,
}

impl Server {
    pub(super) fn new(
        (entry, methods): (Entry, Arc<Methods>),
        transport: Transport,
        upkeep: Upkeep,
        config: Config,
        address: SocketAddr,
        health: HealthReporter,
    ) -> Self {
        Self { entry, methods, transport, upkeep, config, address, health }
    }

    /// The configured address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The state of health of this server.
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// What most processes do: [binds and serves](Self::bind_and_serve) until SIGTERM or Ctrl-C, at the second of which
    /// what still runs is cut off. Blocks, and makes a [runtime](Config::runtime) of at most MAX_WORKERS threads.
    ///
    /// # Errors
    /// When the system starts no threads, or the address cannot be bound.
    pub fn run(self) -> std::io::Result<Drained> {
        self.config.runtime()?.block_on(async {
            let shutdown = Shutdown::new();
            tokio::spawn(shutdown.clone().advance_on_signals());
            self.bind_and_serve(&shutdown).await
        })
    }

    /// Listens on the configured address, then [serves](Self::serve). A server that is not ENABLED opens no socket and
    /// only waits for the shutdown.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind_and_serve(self, shutdown: &Shutdown) -> std::io::Result<Drained> {
        if !self.config.enabled {
            shutdown.draining().draining().await;
            return Ok(Drained { cut_off: 0 });
        }
        let listener = TcpListener::bind(self.address).await?;
        Ok(self.serve(listener, shutdown).await)
    }

    /// Serves until the shutdown. First stage: health says NOT_SERVING, no connection is accepted any more, the open
    /// ones get GOAWAY, and what runs, streams included, may finish within the drain time. What is left at its end, or
    /// at the second stage, is cut off.
    pub async fn serve(self, listener: TcpListener, shutdown: &Shutdown) -> Drained {
        let mut connections = JoinSet::new();
        let mut draining = shutdown.draining();
        let upkeep = self.upkeep.clone();
        let mut up_to_date = pin!(upkeep.keep_up_to_date(upkeep.missing(&self.health)));
        self.health.running();
        let most = self.config.limits.max_connections;
        loop {
            tokio::select! {
                biased;
                () = draining.draining() => break,
                () = &mut up_to_date => {}
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < most => match accepted {
                    Ok((stream, peer)) => self.start(&mut connections, stream, Some(peer), shutdown),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        self.health.drain();
        drop(listener);
        self.finish(connections, draining).await
    }

    /// Serves one connection that is there already, for instance in memory, until it or the server ends.
    pub async fn serve_connection(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        shutdown: &Shutdown,
    ) -> Drained {
        let mut connections = JoinSet::new();
        let mut draining = shutdown.draining();
        self.health.running();
        self.spawn(&mut connections, io, None, shutdown);
        tokio::select! {
            () = draining.draining() => {}
            _ = connections.join_next() => {}
        }
        self.health.drain();
        self.finish(connections, draining).await
    }

    fn start(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        peer: Option<SocketAddr>,
        shutdown: &Shutdown,
    ) {
        // Calls are small: waiting to fill packets only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke");
            return;
        }
        let Some(tls) = self.upkeep.tls.clone() else {
            return self.spawn(connections, stream, peer, shutdown);
        };
        let (transport, entry) = (self.transport.clone(), self.entry.clone());
        let (draining, methods) = (shutdown.draining(), Arc::clone(&self.methods));
        connections.spawn(async move {
            let mut drained = draining.clone();
            let stream = tokio::select! {
                stream = tls.accept(stream) => stream,
                () = drained.draining() => None,
            };
            let Some(stream) = stream else { return };
            let id = spiffe_id(stream.get_ref().1.peer_certificates());
            let identity = id.map(Principal::of_certificate);
            transport.serve(stream, entry, Arc::new(Connection { peer, draining, identity, methods })).await;
        });
    }

    fn spawn(
        &self,
        connections: &mut JoinSet<()>,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<SocketAddr>,
        shutdown: &Shutdown,
    ) {
        let (draining, methods) = (shutdown.draining(), Arc::clone(&self.methods));
        let connection = Arc::new(Connection { peer, draining, identity: None, methods });
        connections.spawn(self.transport.clone().serve(io, self.entry.clone(), connection));
    }

    async fn finish(&self, mut connections: JoinSet<()>, mut draining: Draining) -> Drained {
        let finished = async { while connections.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(Duration::from_millis(self.config.shutdown.drain_ms), finished) => {}
            () = draining.stopped() => {}
        }
        let cut_off = connections.len();
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "connections with running calls were cut off");
        }
        connections.shutdown().await;
        Drained { cut_off }
    }
}
