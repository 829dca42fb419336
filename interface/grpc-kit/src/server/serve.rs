//! Serving until drained: accept, serve, and end in bounded time.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    calls::Alive,
    config::Config,
    connection::{Entry, Transport, too_late},
    peers::{Peers, Seat},
};
use crate::{
    auth::Verifier,
    call::Connection,
    drain::{Draining, Shutdown},
    health::{Dependency, HealthReporter},
    methods::Methods,
    tls::ServerTls,
};

/// How long to leave the system alone that has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait for calls that were cut off: their tasks end as soon as they are polled.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// A server put together by [`ServerBuilder`](super::builder::ServerBuilder).
#[derive(Debug)]
pub struct Server {
    entry: Entry,
    methods: Arc<Methods>,
    transport: Transport,
    peers: Peers,
    upkeep: Upkeep,
    config: Config,
    address: SocketAddr,
    health: HealthReporter,
}

/// The connections of a server that serves.
struct Connections {
    tasks: JoinSet<()>,
    /// What connections and calls hear, after health has.
    shutdown: Shutdown,
    alive: Alive,
    gone: mpsc::Receiver<Infallible>,
    /// Whether the limit was reached and this was said.
    full: bool,
}

impl Connections {
    fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Self { tasks: JoinSet::new(), shutdown: Shutdown::new(), alive, gone, full: false }
    }

    /// Says once that the limit is reached, and again only after it was far from it.
    fn note(&mut self, limit: usize) {
        let count = self.tasks.len();
        if count >= limit && !self.full {
            self.full = true;
            tracing::warn!(limit, "the limit of connections is reached: others wait");
        } else if count < limit - limit / 4 {
            self.full = false;
        }
    }
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
        (transport, peers): (Transport, Peers),
        upkeep: Upkeep,
        config: Config,
        address: SocketAddr,
        health: HealthReporter,
    ) -> Self {
        Self { entry, methods, transport, peers, upkeep, config, address, health }
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

    /// Serves until the shutdown. First stage: health says NOT_SERVING, for as long as LAME_DUCK_MS while everything is
    /// still served; then who waits to be accepted is, and nobody after that, all connections get GOAWAY, and what
    /// runs, streams included, may finish within the drain time. What is left at its end, or at the second stage, is cut
    /// off.
    pub async fn serve(self, listener: TcpListener, shutdown: &Shutdown) -> Drained {
        let mut connections = Connections::new();
        let mut draining = shutdown.draining();
        let upkeep = self.upkeep.clone();
        let mut up_to_date = pin!(upkeep.keep_up_to_date(upkeep.missing(&self.health)));
        self.health.running();
        tokio::select! {
            biased;
            () = draining.draining() => {}
            () = self.accept(&listener, &mut connections) => {}
            () = &mut up_to_date => {}
        }
        // Whoever watches hears of it before its connection does.
        self.health.drain();
        let lame_duck = Duration::from_millis(self.config.shutdown.lame_duck_ms);
        if !lame_duck.is_zero() {
            tokio::select! {
                biased;
                () = draining.stopped() => {}
                () = sleep(lame_duck) => {}
                () = self.accept(&listener, &mut connections) => {}
                () = &mut up_to_date => {}
            }
        }
        self.accept_waiting(listener, &mut connections);
        self.finish(connections, draining).await
    }

    /// Accepts for as long as it is polled.
    async fn accept(&self, listener: &TcpListener, connections: &mut Connections) {
        let most = self.config.limits.max_connections;
        loop {
            connections.note(most);
            let count = connections.tasks.len();
            tokio::select! {
                Some(_) = connections.tasks.join_next(), if count > 0 => {}
                accepted = listener.accept(), if count < most => match accepted {
                    Ok((stream, peer)) => self.start(connections, stream, Some(peer)),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Accepts who has connected already, as far as there is room: to close the socket would reset them.
    fn accept_waiting(&self, listener: TcpListener, connections: &mut Connections) {
        let Ok(listener) = listener.into_std() else { return };
        while connections.tasks.len() < self.config.limits.max_connections {
            let Ok((stream, peer)) = listener.accept() else { return };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.start(connections, stream, Some(peer));
            }
        }
    }

    /// Serves one connection that is there already, for instance in memory, until it or the server ends.
    pub async fn serve_connection(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        shutdown: &Shutdown,
    ) -> Drained {
        let mut connections = Connections::new();
        let mut draining = shutdown.draining();
        self.health.running();
        if let Some(seat) = self.peers.admit(None) {
            self.spawn(&mut connections, io, None, seat);
        }
        tokio::select! {
            () = draining.draining() => {}
            _ = connections.tasks.join_next() => {}
        }
        self.health.drain();
        self.finish(connections, draining).await
    }

    fn start(&self, connections: &mut Connections, stream: TcpStream, peer: Option<SocketAddr>) {
        let Some(seat) = self.peers.admit(peer) else { return };
        // Calls are small: waiting to fill packets only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke");
            return;
        }
        let Some(tls) = self.upkeep.tls.clone() else {
            return self.spawn(connections, stream, peer, seat);
        };
        let (transport, entry) = (self.transport.clone(), self.entry.clone());
        let (draining, alive) = (connections.shutdown.draining(), connections.alive.clone());
        let methods = Arc::clone(&self.methods);
        connections.tasks.spawn(async move {
            let _seat = seat;
            let stream = tokio::select! {
                biased;
                stream = tls.accept(stream) => stream,
                () = too_late(&draining) => None,
            };
            let Some(stream) = stream else { return };
            let identity = tls.identity(&stream);
            let revoked = tls.revoked(&stream);
            let connection = Arc::new(Connection { peer, draining, identity, methods });
            transport.serve(stream, entry, connection, alive, revoked).await;
        });
    }

    fn spawn(
        &self,
        connections: &mut Connections,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Option<SocketAddr>,
        seat: Seat,
    ) {
        let draining = connections.shutdown.draining();
        let methods = Arc::clone(&self.methods);
        let connection = Arc::new(Connection { peer, draining, identity: None, methods });
        let (transport, entry, alive) =
            (self.transport.clone(), self.entry.clone(), connections.alive.clone());
        connections.tasks.spawn(async move {
            let _seat = seat;
            transport.serve(io, entry, connection, alive, std::future::pending()).await;
        });
    }

    async fn finish(&self, connections: Connections, mut draining: Draining) -> Drained {
        let Connections { mut tasks, shutdown, alive, mut gone, .. } = connections;
        shutdown.drain();
        let finished = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(Duration::from_millis(self.config.shutdown.drain_ms), finished) => {}
            () = draining.stopped() => shutdown.stop(),
        }
        let cut_off = tasks.len();
        if cut_off > 0 {
            tracing::warn!(connections = cut_off, "connections with running calls were cut off");
        }
        tasks.shutdown().await;
        // Calls run in tasks of their own, and are counted and logged at their end.
        drop(alive);
        if timeout(LAST_CALLS, gone.recv()).await.is_err() {
            tracing::warn!("calls that were cut off still run");
        }
        Drained { cut_off }
    }
}
