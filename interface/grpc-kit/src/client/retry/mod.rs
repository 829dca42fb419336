//! Sends a failed call again (gRFC A6), when that can help and cannot hurt: only failures that pass by themselves, only
//! methods declared idempotent or failures that certainly changed nothing, only before an answer has begun, and only
//! as often as the target's budget allows.

pub(super) mod backoff;
pub(super) mod budget;
mod failed;
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
    replay::{Replay, ReplayBody},
};
use super::outgoing::Outgoing;
use crate::{
    failure::{Failure, Kind},
    methods::Methods,
};

/// How many attempts of a call went before this one (gRFC A6).
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// How often, how soon, and how large.
#[derive(Debug)]
pub(super) struct RetrySettings {
    /// Attempts after the first; 0 for none.
    pub(super) max_retries: u32,
    pub(super) backoff: Backoff,
    pub(super) budget: Budget,
    /// Requests above this are not kept.
    pub(super) buffer_bytes: usize,
    /// For one attempt of a call with a single answer.
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
    type Response = Response<RB>;
    type Error = Failure;
    /// Boxed: a loop over attempts has no name, and one allocation is little beside a call over the network.
    type Future = Pin<Box<dyn Future<Output = Result<Response<RB>, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Every layer of the kit is ready at all times, so a clone of the inner one needs no waiting either.
        Box::pin(run(self.inner.clone(), request, self.layer.clone()))
    }
}

async fn run<S, B, RB>(mut inner: S, request: Request<B>, layer: RetryLayer) -> Result<Response<RB>, Failure>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    let settings = &*layer.settings;
    let outgoing = Outgoing::of(&request, &layer.methods);
    let (head, body) = request.into_parts();
    let kept = if settings.max_retries > 0 { settings.buffer_bytes } else { 0 };
    let replay = Replay::new(body, kept);
    settings.budget.deposit();
    let mut call = Attempts { settings, outgoing: &outgoing, made: 0, resent: false };
    loop {
        let result = call.attempt(&mut inner, &head, &replay).await;
        let result = result.map_err(|failure| replay.failure().unwrap_or(failure));
        let Some(failed) = Failed::of(&result).filter(|_| replay.is_whole()) else { return result };
        match call.wait(&failed) {
            None => return result,
            Some(wait) if wait.is_zero() => {}
            Some(wait) => sleep(wait).await,
        }
        settings.retries.increment(1);
    }
}

/// One call's attempts.
struct Attempts<'a> {
    settings: &'a RetrySettings,
    outgoing: &'a Outgoing,
    made: u32,
    /// It was sent again at once because it had never left; that happens once.
    resent: bool,
}

impl Attempts<'_> {
    async fn attempt<S, B, RB>(
        &mut self,
        inner: &mut S,
        head: &Parts,
        replay: &Replay<B>,
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
        let sent = inner.call(request);
        let until = self.settings.attempt_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match until.filter(|_| !self.outgoing.method().streaming.answers_with_stream()) {
            None => sent.await.map_err(Into::into),
            Some(until) => match timeout_at(until, sent).await {
                Ok(result) => result.map_err(Into::into),
                Err(_) => Err(Failure::new(Kind::DeadlineExceeded, "the attempt's time is up")),
            },
        }
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    fn wait(&mut self, failed: &Failed) -> Option<Duration> {
        let settings = self.settings;
        if self.made > settings.max_retries {
            return None;
        }
        if failed.unsent && !self.resent {
            // The connection closed before it was written: nobody saw it, so it costs nobody anything.
            self.resent = true;
            return Some(Duration::ZERO);
        }
        if !(failed.untouched || self.outgoing.method().idempotent) {
            return None;
        }
        let wait = match failed.pushback {
            // The server decides, even against the backoff.
            Some(pushback) => pushback?,
            None => settings.backoff.wait(self.made - 1).max(failed.retry_after.unwrap_or_default()),
        };
        // An attempt that could not begin in time is not worth a token.
        let in_time =
            self.outgoing.deadline.is_none_or(|deadline| deadline.duration_since(Instant::now()) > wait);
        (in_time && settings.budget.withdraw()).then_some(wait)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
