//! For tests of servers built with the kit: a client channel over memory or a socket, tokens, and recorders.

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::{EncodingKey, Header, encode};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tonic::body::Body;
use tower::Service;

use crate::{
    drain::Shutdown,
    server::serve::{Drained, Server},
};

/// Bytes on their way in each direction of a connection in memory.
const PIPE_BYTES: usize = 256 * 1024;

/// A client's side of one HTTP/2 connection. Generated clients take it as their channel.
#[derive(Clone, Debug)]
pub struct Channel {
    sender: SendRequest<Body>,
}

impl Channel {
    /// Connects to a server on this machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    /// Speaks HTTP/2 over a stream of bytes.
    ///
    /// # Errors
    /// When the other side does not.
    pub async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> std::io::Result<Self> {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.map_err(std::io::Error::other)?;
        // It ends with the connection; calls report what went wrong.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Whether the connection has ended or is about to, for instance by GOAWAY.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().cloned();
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(http::uri::Authority::from_static("test"));
        parts.path_and_query = path.or(Some(PathAndQuery::from_static("/")));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        Box::pin(self.sender.send_request(request))
    }
}

/// A server that runs in this process, on one connection in memory.
#[derive(Debug)]
pub struct InMemory {
    /// The client's side.
    pub channel: Channel,
    /// Ends the server.
    pub shutdown: Shutdown,
    server: JoinHandle<Drained>,
}

impl InMemory {
    /// Starts the server.
    ///
    /// # Errors
    /// When the connection fails, which it cannot in a running runtime.
    pub async fn start(server: Server) -> std::io::Result<Self> {
        let shutdown = Shutdown::new();
        let (client, other) = tokio::io::duplex(PIPE_BYTES);
        let of_server = shutdown.clone();
        let server = tokio::spawn(async move { server.serve_connection(other, &of_server).await });
        Ok(Self { channel: Channel::over(client).await?, shutdown, server })
    }

    /// Drains the server and waits for its end.
    ///
    /// # Errors
    /// When the server's task panicked.
    pub async fn end(self) -> Result<Drained, tokio::task::JoinError> {
        self.shutdown.drain();
        drop(self.channel);
        self.server.await
    }
}

/// The shared secret of [`token`].
pub const TEST_SECRET: &[u8] = b"a secret for tests, which guards nothing at all";

/// A token that is valid for an hour, signed with [`TEST_SECRET`] by HS256; empty if it cannot be signed.
pub fn token(subject: &str, scopes: &[&str]) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let claims = serde_json::json!({"sub": subject, "exp": now + 3600, "scope": scopes.join(" ")});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(TEST_SECRET)).unwrap_or_default()
}

/// A JSON Web Key Set with the public key that verifies [`token_of`], once for each of these ids.
pub fn key_set(ids: &[&str]) -> String {
    const PUBLIC: &str = "9agWFHzSnO_XN-N8QTFDV-WWMPA4Ja9mJ6Heuo4Zy6k";
    let key = |id| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": PUBLIC});
    serde_json::json!({"keys": ids.iter().map(key).collect::<Vec<_>>()}).to_string()
}

/// A token that is valid for an hour and names this key of a [`key_set`]; empty if it cannot be signed.
pub fn token_of(key_id: &str, subject: &str) -> String {
    let claims = serde_json::json!({"sub": subject, "exp": jsonwebtoken::get_current_timestamp() + 3600});
    let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.kid = Some(key_id.to_owned());
    let key = EncodingKey::from_ed_pem(include_bytes!("../tests/keys/ed25519.private.pem"));
    key.and_then(|key| encode(&header, &claims, &key)).unwrap_or_default()
}

/// Bytes written by one side and read by a test.
#[derive(Clone, Debug, Default)]
pub struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    /// What was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A metrics recorder that keeps plain numbers: counters and gauges their value, histograms how often they were used.
#[derive(Clone, Debug, Default)]
pub struct Recorded(Arc<Mutex<BTreeMap<Key, Arc<Number>>>>);

#[derive(Debug, Default)]
struct Number(Mutex<f64>);

impl Number {
    fn update(&self, update: impl FnOnce(f64) -> f64) {
        let mut value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *value = update(*value);
    }
}

impl CounterFn for Number {
    fn increment(&self, by: u64) {
        self.update(|value| value + by as f64);
    }
    fn absolute(&self, to: u64) {
        self.update(|value| value.max(to as f64));
    }
}

impl GaugeFn for Number {
    fn increment(&self, by: f64) {
        self.update(|value| value + by);
    }
    fn decrement(&self, by: f64) {
        self.update(|value| value - by);
    }
    fn set(&self, to: f64) {
        self.update(|_| to);
    }
}

impl HistogramFn for Number {
    fn record(&self, _: f64) {
        self.update(|value| value + 1.0);
    }
}

impl Recorded {
    /// Registers here whatever `make` registers.
    pub fn install<T>(&self, make: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(self, make)
    }

    /// The sum over all series of this name that have all these labels; `None` when there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |key: &Key, (name, value): &(&str, &str)| {
            key.labels().any(|label| label.key() == *name && label.value() == *value)
        };
        let matching =
            series.iter().filter(|(key, _)| key.name() == name && labels.iter().all(|label| has(key, label)));
        let values: Vec<f64> =
            matching.map(|(_, number)| *number.0.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    fn number(&self, key: &Key) -> Arc<Number> {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(series.entry(key.clone()).or_default())
    }
}

impl metrics::Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.number(key))
    }
}
