//! Sends a failed call again (gRFC A6), when that can help and cannot hurt: only failures that pass by themselves, only
//! methods declared idempotent or failures that certainly changed nothing, only before an answer has begun, and only
//! as often as the target's budget allows.

pub(super) mod backoff;
pub(super) mod budget;
pub(super) mod failed;
pub(super) mod replay;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::metrics::Counter;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{BoxError, Layer, Service};

use self::{
    backoff::Backoff,
    budget::Budget,
    failed::Failed,
    replay::{Answered, Replay, ReplayBody, Room, Shared},
};
use super::outgoing::Outgoing;
use crate::{
    failure::{Failure, Kind},
    methods::Methods,
};

/// How many attempts of a call went before this one (gRFC A6).
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// A server that wants a longer wait than this wants no retry: calls without a deadline would never end.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How often, how soon, and how large.
#[derive(Debug)]
pub(super) struct RetrySettings {
    /// Attempts after the first; 0 for none.
    pub(super) max_retries: u32,
    pub(super) backoff: Backoff,
    pub(super) budget: Budget,
    /// Requests above this are not kept.
    pub(super) buffer_bytes: usize,
    /// What all requests of the target keep together.
    pub(super) shared: Arc<Shared>,
    /// For one attempt of a call with a single answer, as long as another could follow.
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) retries: Counter,
}

/// Adds [`Retry`] to a stack.
#[derive(Clone, Debug)]
pub(super) struct RetryLayer {
    methods: Arc<Methods>,
    settings: Arc<RetrySettings>,
}

impl RetryLayer {
    pub(super) fn new(methods: Arc<Methods>, settings: RetrySettings) -> Self {
        Self { methods, settings: Arc::new(settings) }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry { inner, layer: self.clone() }
    }
}

/// Sends a call, and sends it again.
#[derive(Clone, Debug)]
pub(super) struct Retry<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S, B, RB> Service<Request<B>> for Retry<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<Failure>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
    RB: Send + 'static,
{
    type Response = Response<Answered<RB>>;
    type Error = Failure;
    /// Boxed: a loop over attempts has no name, and one allocation is little beside a call over the network.
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answered<RB>>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Every layer of the kit is ready at all times, so a clone of the inner one needs no waiting either.
        Box::pin(run(self.inner.clone(), request, self.layer.clone()))
    }
}

async fn run<S, B, RB>(
    mut inner: S,
    request: Request<B>,
    layer: RetryLayer,
) -> Result<Response<Answered<RB>>, Failure>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    B: Send + 'static,
{
    let settings = &*layer.settings;
    let outgoing = Outgoing::of(&request, &layer.methods);
    let (head, body) = request.into_parts();
    let kept = if settings.max_retries > 0 { settings.buffer_bytes } else { 0 };
    let replay = Replay::new(body, Room::new(&settings.shared, kept));
    settings.budget.deposit();
    let mut call = Attempts { settings, outgoing: &outgoing, made: 0, resent: false };
    let result = call.run(&mut inner, &head, &replay).await;
    // The connection knows only that the request was broken off, the caller's side knows why.
    let result = result.map_err(|failure| replay.failure().unwrap_or(failure));
    let over = replay.commit();
    result.map(|response| response.map(|inner| Answered::new(inner, over)))
}

/// One call's attempts.
struct Attempts<'a> {
    settings: &'a RetrySettings,
    outgoing: &'a Outgoing,
    made: u32,
    /// It was sent again at once because nobody had seen it; that happens once.
    resent: bool,
}

impl Attempts<'_> {
    async fn run<S, B, RB>(
        &mut self,
        inner: &mut S,
        head: &Parts,
        replay: &Replay<B>,
    ) -> Result<Response<RB>, Failure>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
        S::Error: Into<Failure>,
    {
        // By the path, so that it holds for services that were not made known, too.
        let service = head.uri.path().trim_start_matches('/').split('/').next().unwrap_or_default();
        loop {
            let until = self.until();
            let result = self.attempt(inner, head, replay, until).await;
            let failed = Failed::of(&result, service, until.is_some()).filter(|_| replay.is_whole());
            let Some(wait) = failed.and_then(|failed| self.wait(&failed)) else { return result };
            if !replay.rewind() {
                return result;
            }
            self.settings.retries.increment(1);
            if !wait.is_zero() {
                sleep(wait).await;
            }
        }
    }

    /// When the next attempt is given up for another, if there can be another.
    fn until(&self) -> Option<Instant> {
        let method = self.outgoing.method();
        let another = self.made < self.settings.max_retries
            && method.idempotent
            && !method.streaming.answers_with_stream()
            && self.settings.budget.has_one();
        let until = Instant::now().checked_add(self.settings.attempt_timeout.filter(|_| another)?)?;
        Some(until).filter(|until| self.outgoing.deadline.is_none_or(|deadline| *until < deadline))
    }

    async fn attempt<S, B, RB>(
        &mut self,
        inner: &mut S,
        head: &Parts,
        replay: &Replay<B>,
        until: Option<Instant>,
    ) -> Result<Response<RB>, Failure>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
        S::Error: Into<Failure>,
    {
        let mut request = Request::from_parts(head.clone(), replay.body());
        if self.made > 0 {
            request.headers_mut().insert(PREVIOUS_ATTEMPTS, HeaderValue::from(self.made));
        }
        self.made += 1;
        let Some(until) = until else { return inner.call(request).await.map_err(Into::into) };
        // Below, it is a call with this deadline: for the server, for the metrics and for the breaker.
        let mut attempt = self.outgoing.clone();
        attempt.deadline = Some(until);
        request.extensions_mut().insert(Arc::new(attempt));
        match timeout_at(until, inner.call(request)).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Failure::new(Kind::DeadlineExceeded, "the attempt's time is up")),
        }
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    fn wait(&mut self, failed: &Failed) -> Option<Duration> {
        let settings = self.settings;
        if failed.unseen && !self.resent && settings.max_retries > 0 {
            // A transparent retry (gRFC A6): nobody saw it, so it costs nobody anything and does not count.
            self.resent = true;
            self.made -= 1;
            return Some(Duration::ZERO);
        }
        if self.made > settings.max_retries || !(failed.untouched || self.outgoing.method().idempotent) {
            return None;
        }
        let wait = match failed.pushback {
            // The server decides, even against the backoff.
            Some(pushback) => pushback?,
            None => settings.backoff.wait(self.made - 1).max(failed.retry_after.unwrap_or_default()),
        };
        // An attempt that could not begin in time is not worth a token.
        let in_time = wait <= LONGEST_WAIT.max(settings.backoff.max)
            && self.outgoing.deadline.is_none_or(|deadline| deadline.duration_since(Instant::now()) > wait);
        (in_time && settings.budget.withdraw()).then_some(wait)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
