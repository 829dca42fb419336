//! Bounds how many calls one caller may have running, so that one that is slow to read cannot take every place.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hive_grpc_kit::call::Call;
use hive_grpc_kit::early::Early;
use hive_grpc_kit::failure::{Failure, Kind};
use hive_grpc_kit::methods::Methods;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// What a refused caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Adds [`PerCaller`] to a stack.
#[derive(Clone, Debug)]
pub(crate) struct PerCallerLayer {
    shared: Arc<Shared>,
}

/// What all calls share.
#[derive(Debug)]
struct Shared {
    methods: Arc<Methods>,
    most: usize,
    /// Callers with at least one call, so that it is never larger than the number of calls.
    running: Mutex<HashMap<String, usize>>,
}

impl PerCallerLayer {
    /// At most `most` calls at once for each caller, and at least one.
    pub(crate) fn new(most: usize) -> Self {
        let shared =
            Shared { methods: Arc::new(Methods::empty()), most: most.max(1), running: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for PerCallerLayer {
    type Service = PerCaller<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PerCaller { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Refuses with RESOURCE_EXHAUSTED what its caller has too much of. A place is free again when the last frame of the
/// answer is sent, or the call is dropped.
#[derive(Clone, Debug)]
pub(crate) struct PerCaller<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl Shared {
    fn admit(self: &Arc<Self>, caller: String) -> Result<Place, Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(caller.clone()).or_default();
        if *count == self.most {
            let failure = Failure::new(Kind::Overloaded, "too many calls of yours are running");
            return Err(failure.with_reason("TOO_MANY_OF_YOURS").untouched().retry_after(RETRY_AFTER));
        }
        *count += 1;
        Ok(Place { shared: Arc::clone(self), caller })
    }
}

/// One of its caller's places.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    caller: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.caller);
            }
        }
    }
}

/// Who calls: by token, or else by address.
fn caller(call: &Call) -> String {
    match (call.principal(), call.peer()) {
        (Some(principal), _) => principal.subject().to_owned(),
        (None, peer) => peer.map(|peer| peer.ip().to_string()).unwrap_or_default(),
    }
}

impl<S, B, RB> Service<Request<B>> for PerCaller<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = Response<HeldBody<RB>>;
    type Error = Failure;
    type Future = Early<ResponseFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.shared.methods);
        match self.shared.admit(caller(&call)) {
            Ok(place) => Early::go(ResponseFuture { inner: self.inner.call(request), place: Some(place) }),
            Err(failure) => Early::no(failure),
        }
    }
}

pin_project! {
    /// The call with its place.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        place: Option<Place>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Failure>,
{
    type Output = Result<Response<HeldBody<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx)).map_err(Into::into)?;
        let place = this.place.take();
        Poll::Ready(Ok(response.map(|inner| HeldBody { inner, _place: place })))
    }
}

pin_project! {
    /// The answer's body, which holds the call's place until it is dropped.
    #[derive(Debug)]
    pub(crate) struct HeldBody<B> {
        #[pin]
        inner: B,
        _place: Option<Place>,
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
