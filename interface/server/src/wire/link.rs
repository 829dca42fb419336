//! Connections to other processes. What speaks over them decides nothing about them: this is the only place that does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hive_application::clock::Clock;
use hive_jwt::ServiceToken;
use hive_peers::grpc::Caller;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::clock::SystemClock;
use crate::telemetry::traces;

/// How long opening a connection may take.
const CONNECTING: Duration = Duration::from_secs(2);
/// A silent connection with open calls is pinged after this.
const PING_AFTER: Duration = Duration::from_secs(10);
/// Connections for streams: a server bounds the calls of one.
const STREAM_CONNECTIONS: usize = 16;
/// Calls at once on the connection for calls; more wait.
const CALLS: usize = 48;

/// Several connections to one place, used in turn. They open when they are used, and again after they broke.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    channels: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
    picked: Option<Channel>,
    credentials: Option<Arc<ServiceToken>>,
}

impl Link {
    /// Connections to `uri`, each of which carries so many calls at a time, or any number.
    fn new(
        uri: &str,
        connections: usize,
        calls: Option<usize>,
        credentials: Option<Arc<ServiceToken>>,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())?
            .connect_timeout(CONNECTING)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_AFTER);
        let endpoint = match calls {
            Some(calls) => endpoint.concurrency_limit(calls),
            None => endpoint,
        };
        let channels = (0..connections).map(|_| endpoint.connect_lazy()).collect();
        Ok(Link { channels, next: Arc::default(), picked: None, credentials })
    }

    /// A connection for single calls.
    pub(crate) fn single(
        uri: &str,
        credentials: Option<Arc<ServiceToken>>,
    ) -> Result<Self, tonic::transport::Error> {
        Self::new(uri, 1, None, credentials)
    }
}

/// The way to a neighbour called `name`, at `uri`, which has `timeout` to answer.
pub(super) fn caller(
    name: &'static str,
    uri: &str,
    timeout: Duration,
    credentials: Option<Arc<ServiceToken>>,
) -> Result<Caller<Link>, tonic::transport::Error> {
    let calls = Link::new(uri, 1, Some(CALLS), credentials.clone())?;
    let streams = Link::new(uri, STREAM_CONNECTIONS, None, credentials)?;
    Ok(Caller { calls, streams, timeout, name })
}

impl Service<Request<Body>> for Link {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Link { channels, next, picked, .. } = self;
        let channel = picked.get_or_insert_with(|| {
            let place = next.fetch_add(1, Ordering::Relaxed) % channels.len();
            channels[place].clone()
        });
        channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        traces::inject(request.headers_mut());
        if let Some(token) =
            self.credentials.as_ref().and_then(|credentials| credentials.header(SystemClock.now()))
        {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        // The one found ready; a caller that did not ask takes any.
        let mut channel = self.picked.take().unwrap_or_else(|| self.channels[0].clone());
        channel.call(request)
    }
}
