//! Ends calls whose time is up: the caller's `grpc-timeout`, or the server's own bounds. And hands the time that is left
//! on: what is below runs in the call's scope, where the calls it makes find it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

use crate::{
    call::{Call, within},
    failure::{Failure, Kind, render},
    methods::Methods,
};

pub(crate) const TIMEOUT_HEADER: &str = "grpc-timeout";

/// Adds [`Deadline`] to a stack.
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    methods: Arc<Methods>,
    default: Option<Duration>,
    max: Option<Duration>,
}

impl DeadlineLayer {
    /// `default` applies when the caller sets no time, `max` cuts what it sets. Both are for methods with a single
    /// answer: a stream may be meant to last, so only its caller's own time ends it.
    pub fn new(methods: Arc<Methods>, default: Option<Duration>, max: Option<Duration>) -> Self {
        Self { methods, default, max }
    }

    fn timeout(&self, call: &Call, headers: &HeaderMap) -> Option<Duration> {
        static NAME: HeaderName = HeaderName::from_static(TIMEOUT_HEADER);
        let asked = headers.get(&NAME).and_then(|value| parse(value.as_bytes()));
        if call.method().streaming.answers_with_stream() {
            return asked;
        }
        let timeout = asked.or(self.default);
        match (timeout, self.max) {
            (Some(timeout), Some(max)) => Some(timeout.min(max)),
            (timeout, max) => timeout.or(max),
        }
    }
}

/// A positive integer of at most eight digits and a unit (gRPC over HTTP/2, "Timeout"); `None` when it is not that.
pub(crate) fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline { inner, layer: self.clone() }
    }
}

/// Answers DEADLINE_EXCEEDED when a call's time is up, and drops what was still running of it. Counted from the
/// call's start, so time spent in layers above is part of it. What is below, the answer's body too, runs in the call's
/// [scope](Call::scope).
#[derive(Clone, Debug)]
pub struct Deadline<S> {
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
        let call = Call::enter(&mut request, &self.layer.methods);
        let timeout = self.layer.timeout(&call, request.headers());
        let deadline = timeout.and_then(|timeout| call.started().checked_add(timeout));
        if let Some(deadline) = deadline {
            call.set_deadline(deadline);
        }
        let timer = Timer::new(deadline);
        ResponseFuture { inner: self.inner.call(request), timer, call: Some(call) }
    }
}

pub(crate) fn exceeded() -> Failure {
    Failure::new(Kind::DeadlineExceeded, "the call's time is up")
}

/// After so many frames that follow each other without a pause, a body looks at the clock.
const LOOK_EVERY: u32 = 16;

/// A deadline whose timer is armed only when there is something to wait for.
#[derive(Debug)]
struct Timer {
    at: Option<Instant>,
    frames: u32,
    // Boxed: every call and every answer moves through the layers, and few have to wait.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(at: Option<Instant>) -> Self {
        Self { at, frames: 0, sleep: None }
    }

    /// Whether the time of a body that need not wait is up.
    fn is_up(&mut self) -> bool {
        let Some(at) = self.at else { return false };
        self.frames = self.frames.wrapping_add(1);
        self.frames.is_multiple_of(LOOK_EVERY) && Instant::now() >= at
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx)
    }
}

pin_project! {
    /// The call below, as long as there is time.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        timer: Timer,
        call: Option<Arc<Call>>,
    }
}

impl<F> ResponseFuture<F> {
    /// Ends the call, and the body it answers with, at this time.
    pub(crate) fn until(inner: F, deadline: Option<Instant>) -> Self {
        Self { inner, timer: Timer::new(deadline), call: None }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Failure>,
{
    type Output = Result<Response<DeadlineBody<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let at = this.timer.at;
        if let Poll::Ready(result) = within(this.call, || this.inner.poll(cx)) {
            // A single answer is there when its head is.
            let call = this.call.take_if(|call| call.method().streaming.answers_with_stream());
            let body = |inner| DeadlineBody { inner: Some(inner), timer: Timer::new(at), call };
            return Poll::Ready(result.map(|response| response.map(body)).map_err(Into::into));
        }
        this.timer.poll(cx).map(|()| Err(exceeded()))
    }
}

pin_project! {
    /// The answer's body, as long as there is time; then trailers that say so.
    #[derive(Debug)]
    pub struct DeadlineBody<B> {
        #[pin]
        inner: Option<B>,
        timer: Timer,
        call: Option<Arc<Call>>,
    }
}

impl<B: Body<Data = Bytes>> Body for DeadlineBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match within(this.call, || inner.poll_frame(cx)) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() && this.timer.is_up() => {}
            Poll::Ready(frame) => return Poll::Ready(frame),
            Poll::Pending => ready!(this.timer.poll(cx)),
        }
        this.inner.set(None);
        Poll::Ready(Some(Ok(Frame::trailers(render::trailers(&exceeded())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;
    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::health::{DESCRIPTOR, SERVICE};

    const CHECK: &str = "/grpc.health.v1.Health/Check";
    const WATCH: &str = "/grpc.health.v1.Health/Watch";

    fn layer(default: u64, max: u64) -> DeadlineLayer {
        let mut methods = Methods::empty();
        methods.add(SERVICE, DESCRIPTOR).expect("the health service");
        let some = |millis| (millis > 0).then(|| Duration::from_millis(millis));
        DeadlineLayer::new(Arc::new(methods), some(default), some(max))
    }

    /// How long a call that never answers runs.
    async fn runs_for(layer: DeadlineLayer, path: &str, timeout: &str) -> (Kind, Duration) {
        let service =
            service_fn(|_: Request<()>| std::future::pending::<Result<Response<String>, Infallible>>());
        let mut request = Request::builder().uri(path);
        if !timeout.is_empty() {
            request = request.header("grpc-timeout", timeout);
        }
        let begin = Instant::now();
        let failure = layer.layer(service).oneshot(request.body(()).expect("a request")).await;
        (failure.expect_err("it never answers").kind(), begin.elapsed())
    }

    fn near(took: Duration, millis: u64) -> bool {
        (millis..millis + 5).contains(&(took.as_millis() as u64))
    }

    #[tokio::test(start_paused = true)]
    async fn the_callers_time_counts_within_the_servers_bounds() {
        for (default, max, timeout, millis) in [
            (100, 0, "", 100),
            (100, 0, "70m", 70),
            (100, 200, "1S", 200),
            (0, 300, "", 300),
            (100, 0, "x", 100),
        ] {
            let (kind, took) = runs_for(layer(default, max), CHECK, timeout).await;
            assert_eq!(kind, Kind::DeadlineExceeded);
            assert!(near(took, millis), "{timeout:?} took {took:?} instead of {millis} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_ended_only_by_its_caller() {
        let (_, took) = runs_for(layer(10, 20), WATCH, "500m").await;
        assert!(near(took, 500));
        let endless =
            tokio::time::timeout(Duration::from_secs(3600), runs_for(layer(10, 20), WATCH, "")).await;
        assert!(endless.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_with_trailers() {
        let service = service_fn(|_: Request<()>| async {
            let frames = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        });
        let request =
            Request::builder().uri(WATCH).header("grpc-timeout", "50m").body(()).expect("a request");
        let response = layer(0, 0).layer(service).oneshot(request).await.expect("an answer");
        let mut body = Box::pin(response.into_body());
        let frame = body.frame().await.expect("a frame").expect("no error");
        let code = render::code_of(frame.trailers_ref().expect("trailers"));
        assert_eq!(code, Some(Code::DeadlineExceeded));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_always_has_a_frame_ends_too() {
        let service = service_fn(|_: Request<()>| async {
            let frame = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")));
            Ok::<_, Infallible>(Response::new(StreamBody::new(futures_util::stream::repeat_with(frame))))
        });
        let request =
            Request::builder().uri(WATCH).header("grpc-timeout", "50m").body(()).expect("a request");
        let response = layer(0, 0).layer(service).oneshot(request).await.expect("an answer");
        let mut body = Box::pin(response.into_body());
        for _ in 0..100 {
            assert!(body.frame().await.expect("a frame").expect("no error").is_data());
        }
        tokio::time::advance(Duration::from_millis(50)).await;
        let mut frames = 0;
        let last = loop {
            match body.frame().await.expect("a frame").expect("no error").into_trailers() {
                Ok(trailers) => break trailers,
                Err(_) => frames += 1,
            }
            assert!(frames < LOOK_EVERY);
        };
        assert_eq!(render::code_of(&last), Some(Code::DeadlineExceeded));
    }

    #[test]
    fn timeouts_are_parsed_by_the_protocol() {
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse(b"5u"), Some(Duration::from_micros(5)));
        for wrong in ["", "5", "S", "123456789S", "-1S", "1.5S", "1s"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_timeout_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            parse(&bytes);
        }
    }
}
