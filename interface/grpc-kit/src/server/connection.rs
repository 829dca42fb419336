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
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

use super::{
    config::{Config, some_millis},
    preface, reflection,
    router::{Router, service_of},
    stack::{OperationsStack, Stack},
};
use crate::{
    call::{Call, Connection},
    health,
};

/// Everything a connection serves: the registered services behind their stack, health and reflection beside it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) services: Stack<Router>,
    pub(super) operations: OperationsStack<Router>,
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

fn is_operations(path: &str) -> bool {
    matches!(service_of(path), health::SERVICE | reflection::V1 | reflection::V1_ALPHA)
}

/// The entry as hyper calls it. A connection's calls all start in its own task, so the layers need no lock, and are
/// cloned once a connection instead of once a call. Every layer of the kit is ready at all times: what cannot be taken
/// is refused, so there is nothing to wait for before a call.
struct PerConnection {
    entry: RefCell<Entry>,
    connection: Arc<Connection>,
}

impl hyper::service::Service<Request<Incoming>> for PerConnection {
    type Response = Response<EntryBody>;
    type Error = Infallible;
    type Future = EntryFuture;

    fn call(&self, mut request: Request<Incoming>) -> EntryFuture {
        Call::open(&mut request, Arc::clone(&self.connection));
        let mut entry = self.entry.borrow_mut();
        if is_operations(request.uri().path()) {
            EntryFuture::Operations { call: entry.operations.call(request) }
        } else {
            EntryFuture::Service { call: entry.services.call(request) }
        }
    }
}

pin_project! {
    /// A call through either stack.
    #[project = EntryFutureProjection]
    enum EntryFuture {
        Service { #[pin] call: ServiceFuture },
        Operations { #[pin] call: OperationsFuture },
    }
}

impl Future for EntryFuture {
    type Output = Result<Response<EntryBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EntryFutureProjection::Service { call } => {
                call.poll(cx).map_ok(|response| response.map(|body| EntryBody::Service { body }))
            }
            EntryFutureProjection::Operations { call } => {
                call.poll(cx).map_ok(|response| response.map(|body| EntryBody::Operations { body }))
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Service { body } => body.is_end_stream(),
            Self::Operations { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Service { body } => body.size_hint(),
            Self::Operations { body } => body.size_hint(),
        }
    }
}

/// How connections are served, by the settings.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http2: http2::Builder<TokioExecutor>,
    max_age: Option<Duration>,
    age_grace: Duration,
}

/// HTTP/2 windows: large enough that one stream fills a fast local network, small enough to bound memory a connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

impl Transport {
    /// Every option that matters is stated, even at the library's default.
    pub(super) fn new(config: &Config) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(config.max_concurrent_rpcs)
            .max_header_list_size(config.limits.max_header_bytes)
            .keep_alive_interval(some_millis(config.keepalive_time_ms))
            .keep_alive_timeout(Duration::from_millis(config.keepalive_timeout_ms))
            // No gRPC client reads it.
            .auto_date_header(false);
        Self {
            http2,
            max_age: some_millis(config.connection.max_age_ms),
            age_grace: Duration::from_millis(config.connection.max_age_grace_ms),
        }
    }

    /// Serves one connection to its end: the client's, its age's or the server's. At its age, and when the server
    /// drains, it sends GOAWAY and lets running calls finish.
    pub(super) async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        entry: Entry,
        connection: Arc<Connection>,
    ) {
        let mut draining = connection.draining.clone();
        let io = tokio::select! {
            io = preface::greet(io) => io,
            () = draining.draining() => None,
        };
        let Some(io) = io else { return };
        let service = PerConnection { entry: RefCell::new(entry), connection };
        let mut serving = pin!(self.http2.serve_connection(TokioIo::new(io), service));
        let aged = tokio::select! {
            result = serving.as_mut() => return log_end(result),
            () = draining.draining() => false,
            () = age(self.max_age) => true,
        };
        serving.as_mut().graceful_shutdown();
        if !aged {
            return log_end(serving.await);
        }
        tokio::select! {
            result = serving.as_mut() => log_end(result),
            () = tokio::time::sleep(self.age_grace) => {
                tracing::debug!("a connection at its maximal age was cut off");
            }
        }
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
    fn jitter_stays_within_a_tenth() {
        let hour = Duration::from_secs(3600);
        assert_eq!(jittered(hour, 0), Duration::from_secs(3240));
        assert!(jittered(hour, u64::MAX) <= Duration::from_secs(3960));
        assert_ne!(jittered(hour, 1 << 60), jittered(hour, 1 << 62));
    }
}
