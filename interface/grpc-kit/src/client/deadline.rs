//! The time of a whole call, all attempts and waits between them included.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use http::Response;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::outgoing::Outgoing;
use crate::{
    failure::Failure,
    layer::deadline::{self, DeadlineBody, ResponseFuture, TIMEOUT_HEADER},
    methods::Methods,
};

/// Adds [`Deadline`] to a stack.
#[derive(Clone, Debug)]
pub(super) struct DeadlineLayer {
    methods: Arc<Methods>,
    default: Option<Duration>,
}

impl DeadlineLayer {
    /// `default` is for calls that set no time and answer with one message: a stream may be meant to last.
    pub(super) fn new(methods: Arc<Methods>, default: Option<Duration>) -> Self {
        Self { methods, default }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner, layer: self.clone() }
    }
}

/// Opens the call's record with its deadline, and ends the call with DEADLINE_EXCEEDED when it passes. The deadline is
/// the sooner of the call's own time (`Request::set_timeout`, else the default) and that of the served call it is made
/// for.
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S, B, RB> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = Response<DeadlineBody<RB>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut outgoing = Outgoing::open(&request, &self.layer.methods);
        let asked = request.headers_mut().remove(TIMEOUT_HEADER);
        let asked = asked.and_then(|value| deadline::parse(value.as_bytes()));
        let default = self.layer.default.filter(|_| !outgoing.method().streaming.answers_with_stream());
        let own = asked.or(default).and_then(|timeout| Instant::now().checked_add(timeout));
        let inherited = outgoing.on_behalf.as_ref().and_then(|call| call.deadline());
        outgoing.deadline = own.into_iter().chain(inherited).min();
        let deadline = outgoing.deadline;
        request.extensions_mut().insert(Arc::new(outgoing));
        ResponseFuture::until(self.inner.call(request), deadline)
    }
}
