//! Bounds how many calls run at once. There is no waiting room: what does not fit is shed at once, so this is a
//! concurrency limit with load shedding directly outside it, in one atomic.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    apart::Apart,
    call::Call,
    early::Early,
    failure::{Failure, Kind},
    methods::Methods,
};

/// With the value `low`, the caller says that others may go first. Nobody can raise a call by it.
pub const PRIORITY_HEADER: &str = "x-priority";

/// What a shed caller is told to wait.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How many calls may run at once. Those that answer with streams have places of their own: most of them wait for
/// something to happen and cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls with a single answer.
    pub calls: usize,
    /// Calls that answer with a stream.
    pub streams: usize,
    /// Percent of either, from which on calls of low priority are shed; at least one place is theirs.
    pub low_share: usize,
}

impl Limits {
    fn of(&self, streams: bool, low: bool) -> usize {
        let limit = if streams { self.streams } else { self.calls };
        if low { (limit.saturating_mul(self.low_share.min(100)) / 100).max(1) } else { limit }
    }
}

/// Adds [`Admission`] to a stack.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    methods: Arc<Methods>,
    shared: Apart<Shared>,
}

#[derive(Debug)]
struct Shared {
    running: AtomicUsize,
    streaming: AtomicUsize,
    /// Of calls and of streams; each of low priority and of the others.
    limits: [[usize; 2]; 2],
    /// By method: whether its calls are of low priority.
    low: Box<[bool]>,
}

impl AdmissionLayer {
    /// At most so many calls at once. Calls of low priority are shed as soon as their share of the places is taken, by
    /// whatever calls, so they go first when it gets crowded; low are the calls to `low_methods` (by path) and those that
    /// say so themselves.
    pub fn new(methods: Arc<Methods>, limits: Limits, low_methods: &[String]) -> Self {
        let low = methods
            .all()
            .iter()
            .map(|method| low_methods.iter().any(|path| **path == *method.path))
            .collect();
        let limits = [false, true].map(|streams| [false, true].map(|low| limits.of(streams, low)));
        let (running, streaming) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Shared { running, streaming, limits, low };
        Self { methods, shared: Apart::new(Arc::new(shared)) }
    }

    /// How many calls run now, apart from those that answer with streams.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Relaxed)
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = self.shared.apart();
        Admission { inner, methods: Arc::clone(&self.methods), shared }
    }
}

/// Admits a call or sheds it with RESOURCE_EXHAUSTED and a time to come back. Its place is free again when the last
/// frame of the answer is sent, or the call is dropped.
#[derive(Debug)]
pub struct Admission<S> {
    inner: S,
    methods: Arc<Methods>,
    shared: Apart<Shared>,
}

impl<S: Clone> Clone for Admission<S> {
    /// For another connection.
    fn clone(&self) -> Self {
        let shared = self.shared.apart();
        Self { inner: self.inner.clone(), methods: Arc::clone(&self.methods), shared }
    }
}

impl Apart<Shared> {
    fn admit(&self, low: bool, streams: bool) -> Result<Permit, Failure> {
        let limit = self.limits[usize::from(streams)][usize::from(low)];
        let places = if streams { &self.streaming } else { &self.running };
        // Who is shed is never counted: a crowd of them would take the place of those that are not.
        let free = |running: usize| (running < limit).then(|| running + 1);
        if places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok() {
            return Ok(Permit { shared: self.clone(), streams });
        }
        let failure = Failure::new(Kind::Overloaded, "the server is at its limit of concurrent calls");
        Err(failure.untouched().retry_after(RETRY_AFTER))
    }
}

/// A place among the running calls.
#[derive(Debug)]
struct Permit {
    shared: Apart<Shared>,
    streams: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let places = if self.streams { &self.shared.streaming } else { &self.shared.running };
        places.fetch_sub(1, Ordering::Relaxed);
    }
}

fn says_low(headers: &HeaderMap) -> bool {
    static NAME: HeaderName = HeaderName::from_static(PRIORITY_HEADER);
    headers.get(&NAME).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"low"))
}

impl<S, B, RB> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = Response<AdmittedBody<RB>>;
    type Error = Failure;
    type Future = Early<ResponseFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.methods);
        let low = self.shared.low[call.method_id().index()] || says_low(request.headers());
        let streams = call.method().streaming.answers_with_stream();
        match self.shared.admit(low, streams) {
            Ok(permit) => Early::go(ResponseFuture { inner: self.inner.call(request), permit: Some(permit) }),
            Err(failure) => Early::no(failure),
        }
    }
}

pin_project! {
    /// The admitted call with its place.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Failure>,
{
    type Output = Result<Response<AdmittedBody<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx)).map_err(Into::into)?;
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|inner| AdmittedBody { inner, _permit: permit })))
    }
}

pin_project! {
    /// The answer's body, which holds the call's place until it is dropped.
    #[derive(Debug)]
    pub struct AdmittedBody<B> {
        #[pin]
        inner: B,
        _permit: Option<Permit>,
    }
}

impl<B: Body> Body for AdmittedBody<B> {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    fn layer(calls: usize, streams: usize, low_share: usize) -> AdmissionLayer {
        AdmissionLayer::new(Arc::new(Methods::empty()), Limits { calls, streams, low_share }, &[])
    }

    async fn answer(
        layer: &AdmissionLayer,
        priority: &str,
    ) -> Result<Response<AdmittedBody<String>>, Failure> {
        let service =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("body".to_owned())) });
        let request = Request::builder().header(PRIORITY_HEADER, priority).body(()).expect("a request");
        layer.layer(service).oneshot(request).await
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_body_is_gone() {
        let layer = layer(1, 1, 100);
        let first = answer(&layer, "").await.expect("admitted");
        let shed = answer(&layer, "").await.expect_err("full");
        assert_eq!((shed.kind(), shed.retry_delay()), (Kind::Overloaded, Some(RETRY_AFTER)));
        assert_eq!(layer.running(), 1);
        drop(first);
        answer(&layer, "").await.expect("free again");
    }

    #[tokio::test]
    async fn low_priority_is_shed_first() {
        let layer = layer(2, 1, 50);
        let _first = answer(&layer, "").await.expect("admitted");
        assert!(answer(&layer, "LOW").await.is_err());
        let _second = answer(&layer, "high").await.expect("there is room for others");
        assert!(answer(&layer, "").await.is_err());
    }

    #[test]
    fn streams_have_places_of_their_own() {
        let layer = layer(1, 3, 100);
        let streams: Vec<_> = (0..3).map(|_| layer.shared.admit(false, true)).collect();
        assert!(streams.iter().all(Result::is_ok));
        assert!(layer.shared.admit(false, true).is_err(), "they are bounded too");
        assert!(layer.shared.admit(false, false).is_ok());
        drop(streams);
        assert!(layer.shared.admit(true, true).is_ok());
    }

    #[test]
    fn streams_of_low_priority_are_shed_first_too() {
        let layer = layer(4, 6, 50);
        let streams: Vec<_> = (0..3).map(|_| layer.shared.admit(true, true)).collect();
        assert!(streams.iter().all(Result::is_ok));
        assert!(layer.shared.admit(true, true).is_err());
        assert!(layer.shared.admit(false, true).is_ok());
    }

    #[test]
    fn one_place_at_least_is_for_low_priority_too() {
        let layer = layer(1, 1, 1);
        assert!(layer.shared.admit(true, false).is_ok() && layer.shared.admit(true, true).is_ok());
    }

    #[test]
    fn a_crowd_that_is_shed_takes_no_place_of_the_others() {
        let layer = layer(2, 1, 50);
        let _first = layer.shared.admit(true, false).expect("admitted");
        std::thread::scope(|scope| {
            let crowd: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| (0..100_000).filter(|_| layer.shared.admit(true, false).is_ok()).count())
                })
                .collect();
            while !crowd.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                assert!(layer.shared.admit(false, false).is_ok());
            }
            assert!(crowd.into_iter().all(|one| one.join().is_ok_and(|admitted| admitted == 0)));
        });
    }

    #[test]
    fn a_dropped_call_frees_its_place() {
        let layer = layer(1, 1, 100);
        let service =
            service_fn(|_: Request<()>| std::future::pending::<Result<Response<String>, Infallible>>());
        let mut call = Box::pin(layer.layer(service).oneshot(Request::new(())));
        assert!(call.as_mut().now_or_never().is_none());
        assert_eq!(layer.running(), 1);
        drop(call);
        assert_eq!(layer.running(), 0);
    }
}
