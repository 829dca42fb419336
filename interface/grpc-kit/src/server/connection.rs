//! One connection: HTTP/2 by hyper, from the preface to the last frame, with a bounded age.

use std::{
    cell::RefCell,
    convert::Infallible,
    hash::{BuildHasher as _, RandomState},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

use super::{
    calls::{Activity, Alive, Calls, answer_begins},
    config::{Config, some_millis},
    pieces::Pieces,
    preface, reflection,
    router::{Router, service_of},
    stack::{OperationsStack, Stack},
};
use crate::{
    call::{Call, Connection},
    drain::Draining,
    health,
};

/// Everything a connection serves: the registered services behind their stack, health and reflection beside it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) services: Stack<Router>,
    pub(super) operations: OperationsStack<Router>,
    /// Which of the operations there are; what has their names otherwise is a service like any other.
    pub(super) health: bool,
    pub(super) reflection: bool,
}

impl Entry {
    fn is_operations(&self, path: &str) -> bool {
        match service_of(path) {
            health::SERVICE => self.health,
            reflection::V1 | reflection::V1_ALPHA => self.reflection,
            _ => false,
        }
    }
}

type ServiceFuture = <Stack<Router> as Service<Request<Incoming>>>::Future;
type OperationsFuture = <OperationsStack<Router> as Service<Request<Incoming>>>::Future;
type ResponseOf<S> = <S as Service<Request<Incoming>>>::Response;

/// The body inside a response type.
pub(super) trait Answer {
    type Body;
}

impl<B> Answer for Response<B> {
    type Body = B;
}

type ServiceBody = <ResponseOf<Stack<Router>> as Answer>::Body;
type OperationsBody = <ResponseOf<OperationsStack<Router>> as Answer>::Body;

/// POST of `application/grpc`, maybe with `+proto`, the one codec there is, or with parameters. gRPC-Web, which begins
/// alike, frames its trailers otherwise.
fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let Some(rest) = content_type.and_then(|value| value.strip_prefix(b"application/grpc")) else {
        return false;
    };
    let rest = rest.strip_prefix(b"+proto").unwrap_or(rest).trim_ascii_start();
    *request.method() == Method::POST && matches!(rest, [] | [b';', ..])
}

/// The entry as hyper calls it. A connection's calls all start in its own task, so the layers need no lock, and are
/// cloned once a connection instead of once a call. Every layer of the kit is ready at all times: what cannot be taken
/// is refused, so there is nothing to wait for before a call.
struct PerConnection {
    entry: RefCell<Entry>,
    connection: Arc<Connection>,
}

impl hyper::service::Service<Request<Incoming>> for PerConnection {
    type Response = Response<Pieces<EntryBody>>;
    type Error = Infallible;
    type Future = EntryFuture;

    fn call(&self, mut request: Request<Incoming>) -> EntryFuture {
        // Before any layer could answer it as gRPC does, with 200 whatever the outcome.
        if !is_grpc(&request) {
            return EntryFuture::NotGrpc;
        }
        let record = Call::open(&mut request, Arc::clone(&self.connection));
        let mut entry = self.entry.borrow_mut();
        if entry.is_operations(request.uri().path()) {
            EntryFuture::Operations { call: entry.operations.call(request), record }
        } else {
            EntryFuture::Service { call: entry.services.call(request), record }
        }
    }
}

pin_project! {
    /// A call through either stack.
    #[project = EntryFutureProjection]
    enum EntryFuture {
        Service { #[pin] call: ServiceFuture, record: Arc<Call> },
        Operations { #[pin] call: OperationsFuture, record: Arc<Call> },
        // Somebody speaks plain HTTP/2 to a gRPC server.
        NotGrpc,
    }
}

impl Future for EntryFuture {
    type Output = Result<Response<Pieces<EntryBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EntryFutureProjection::Service { call, record } => call.poll(cx).map_ok(|response| {
                answer_begins(record.deadline());
                response.map(|body| Pieces::of(EntryBody::Service { body }))
            }),
            EntryFutureProjection::Operations { call, record } => call.poll(cx).map_ok(|response| {
                answer_begins(record.deadline());
                response.map(|body| Pieces::of(EntryBody::Operations { body }))
            }),
            EntryFutureProjection::NotGrpc => {
                let mut response = Response::new(Pieces::of(EntryBody::None));
                *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Poll::Ready(Ok(response))
            }
        }
    }
}

pin_project! {
    /// An answer's body from either stack.
    #[project = EntryBodyProjection]
    enum EntryBody {
        Service { #[pin] body: ServiceBody },
        Operations { #[pin] body: OperationsBody },
        None,
    }
}

impl Body for EntryBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match self.project() {
            EntryBodyProjection::Service { body } => body.poll_frame(cx),
            EntryBodyProjection::Operations { body } => body.poll_frame(cx),
            EntryBodyProjection::None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Service { body } => body.is_end_stream(),
            Self::Operations { body } => body.is_end_stream(),
            Self::None => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Service { body } => body.size_hint(),
            Self::Operations { body } => body.size_hint(),
            Self::None => SizeHint::with_exact(0),
        }
    }
}

/// How connections are served, by the settings.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    max_streams: u32,
    max_header_bytes: u32,
    ping_after: Option<Duration>,
    ping_timeout: Duration,
    max_age: Option<Duration>,
    max_idle: Option<Duration>,
    grace: Duration,
}

/// HTTP/2 windows: large enough that one stream fills a fast local network, small enough to bound memory a connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// How long a connection that is still in its handshake when the server drains may take for it: what is in it may be
/// on its way already.
const LATE: Duration = Duration::from_secs(1);

/// Waits until the server has drained for a while.
pub(super) async fn too_late(draining: &Draining) {
    draining.clone().draining().await;
    tokio::time::sleep(LATE).await;
}

impl Transport {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            max_streams: config.calls_of_a_connection(),
            max_header_bytes: config.limits.max_header_bytes,
            ping_after: some_millis(config.keepalive_time_ms),
            ping_timeout: Duration::from_millis(config.keepalive_timeout_ms),
            max_age: some_millis(config.connection.max_age_ms),
            max_idle: some_millis(config.connection.max_idle_ms),
            grace: Duration::from_millis(config.connection.max_age_grace_ms),
        }
    }

    /// Every option that matters is stated, even at the library's default.
    fn http2(&self, calls: Calls) -> http2::Builder<Calls> {
        let mut http2 = http2::Builder::new(calls);
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(self.max_header_bytes)
            .keep_alive_interval(self.ping_after)
            .keep_alive_timeout(self.ping_timeout)
            // No gRPC client reads it.
            .auto_date_header(false);
        http2
    }

    /// Serves one connection to its end: the client's, its age's, its idleness's or the server's. At the last three, and
    /// when `revoked` resolves, it sends GOAWAY and lets running calls finish.
    pub(super) async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        entry: Entry,
        connection: Arc<Connection>,
        alive: Alive,
        revoked: impl Future<Output = ()>,
    ) {
        let mut draining = connection.draining.clone();
        let io = tokio::select! {
            biased;
            io = preface::greet(io) => io,
            () = too_late(&draining) => None,
        };
        let Some(io) = io else { return };
        let activity = Arc::new(Activity::new(alive));
        let service = PerConnection { entry: RefCell::new(entry), connection };
        let http2 = self.http2(Calls(Arc::clone(&activity)));
        let mut serving = pin!(http2.serve_connection(TokioIo::new(io), service));
        let reason_to_close = async {
            tokio::select! {
                () = draining.draining() => true,
                () = age(self.max_age) => false,
                () = activity.idle(self.max_idle) => false,
                () = revoked => false,
            }
        };
        let mut reason_to_close = pin!(only_when_woken(reason_to_close));
        let drained = tokio::select! {
            biased;
            result = serving.as_mut() => return log_end(result),
            drained = reason_to_close.as_mut() => drained,
        };
        serving.as_mut().graceful_shutdown();
        if drained {
            return log_end(serving.await);
        }
        tokio::select! {
            result = serving.as_mut() => log_end(result),
            () = tokio::time::sleep(self.grace) => {
                tracing::debug!("a connection that was to close was cut off");
            }
        }
    }
}

/// Polls the future when it asks for it, and not whenever the task it is part of has something else to do: a connection's
/// task runs several times a call, and its timers once in minutes.
async fn only_when_woken<F: Future>(future: F) -> F::Output {
    let mut alone = FuturesUnordered::from_iter([future]);
    match alone.next().await {
        Some(output) => output,
        None => std::future::pending().await,
    }
}

/// Clients break off all the time: worth a line only for whoever looks for it.
fn log_end(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn age(max_age: Option<Duration>) {
    match max_age {
        Some(max_age) => tokio::time::sleep(jittered(max_age, RandomState::new().hash_one(0))).await,
        None => std::future::pending().await,
    }
}

/// The duration, up to a tenth more or less.
fn jittered(duration: Duration, random: u64) -> Duration {
    let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
    duration.mul_f64(0.9 + 0.2 * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_is_taken_for_it() {
        let post = |content_type: &str| {
            let request = Request::post("/a.B/C").header(header::CONTENT_TYPE, content_type);
            is_grpc(&request.body(()).expect("a request"))
        };
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc; a=b",
            "application/grpc+proto;a=b",
        ] {
            assert!(post(grpc), "{grpc}");
        }
        for other in
            ["", "application/grpc-web", "application/grpc+json", "application/grpcx", "application/json"]
        {
            assert!(!post(other), "{other}");
        }
        let get =
            Request::get("/").header(header::CONTENT_TYPE, "application/grpc").body(()).expect("a request");
        assert!(!is_grpc(&get) && !is_grpc(&Request::post("/").body(()).expect("a request")));
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0), Duration::from_secs(3240));
        assert!(jittered(hour, u64::MAX) <= Duration::from_secs(3960));
        assert_ne!(jittered(hour, 1 << 60), jittered(hour, 1 << 62));
    }
}
