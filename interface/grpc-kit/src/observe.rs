//! Watching a call to its end, once for all layers that only look: the outcome is in the headers of a trailers-only
//! answer, in the trailers of a body, in a refusal by a layer below, or it is a cancellation, known by the drop.

use std::{
    any::Any,
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::BoxError;
use tracing::{Span, span::Entered};

use crate::failure::{Failure, codes, render};

/// What a layer that looks does with a call.
pub trait Observer {
    /// The call and its answer are polled inside of this span.
    fn span(&self) -> Option<&Span> {
        None
    }

    /// A piece of the answer's body goes out.
    fn sent(&mut self, _chunk: &[u8]) {}

    /// A layer below refused the call: what [`ended`](Self::ended) is told otherwise.
    fn refused(&mut self, failure: &Failure) {
        self.ended(codes::code(failure.kind()));
    }

    /// The call ended with this code. Called exactly once, on drop at the latest: a call dropped before its end is
    /// [`Code::Cancelled`], or [`Code::DeadlineExceeded`] when the server dropped it because its time was up.
    fn ended(&mut self, code: Code);
}

thread_local! {
    static DROPPED: Cell<Code> = const { Cell::new(Code::Cancelled) };
}

/// Drops calls that do not end by themselves, and end with this code instead of as cancelled.
pub(crate) fn drop_as(code: Code, drop: impl FnOnce()) {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            DROPPED.set(Code::Cancelled);
        }
    }
    DROPPED.set(code);
    let _back = Back;
    drop();
}

/// Calls [`Observer::ended`] exactly once, and keeps the observer until the call is dropped.
#[derive(Debug)]
struct Ending<O: Observer> {
    observer: Option<O>,
    over: bool,
}

impl<O: Observer> Ending<O> {
    /// Of the future, for the body.
    fn hand_on(&mut self) -> Self {
        Self { observer: self.observer.take(), over: self.over }
    }

    fn enter(&self) -> Option<Entered<'_>> {
        self.observer.as_ref().and_then(Observer::span).map(Span::enter)
    }

    /// The observer, while the call has not ended.
    fn running(&mut self) -> Option<&mut O> {
        self.observer.as_mut().filter(|_| !self.over)
    }

    fn refuse(&mut self, failure: &Failure) {
        if let Some(observer) = self.running() {
            observer.refused(failure);
            self.over = true;
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(observer) = self.running() {
            observer.ended(code);
            self.over = true;
        }
    }
}

impl<O: Observer> Drop for Ending<O> {
    fn drop(&mut self) {
        if !self.over {
            self.end(DROPPED.get());
        }
    }
}

pin_project! {
    /// Waits for the head of the answer, then hands the observer on to the body.
    #[derive(Debug)]
    pub struct ResponseFuture<F, O: Observer> {
        #[pin]
        inner: F,
        ending: Ending<O>,
    }
}

impl<F, O: Observer> ResponseFuture<F, O> {
    /// Observes this call.
    pub fn new(inner: F, observer: O) -> Self {
        Self { inner, ending: Ending { observer: Some(observer), over: false } }
    }
}

impl<F, B, E, O> Future for ResponseFuture<F, O>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<Failure>,
    O: Observer,
{
    type Output = Result<Response<ObservedBody<B, O>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.ending.enter();
        let result = ready!(this.inner.poll(cx));
        drop(entered);
        Poll::Ready(match result {
            Ok(response) => {
                if let Some(code) = head_code(&response) {
                    this.ending.end(code);
                }
                let ending = this.ending.hand_on();
                Ok(response.map(|inner| ObservedBody { inner, ending }))
            }
            Err(refusal) => {
                let failure = refusal.into();
                this.ending.refuse(&failure);
                Err(failure)
            }
        })
    }
}

/// The code an answer's head already decides: a trailers-only answer, or one that is no gRPC.
pub(crate) fn head_code<B>(response: &Response<B>) -> Option<Code> {
    render::code_of(response.headers()).or_else(|| http_code(response.status()))
}

/// The code that an answer without one stands for (gRPC, "HTTP to gRPC Status Code Mapping").
fn http_code(status: StatusCode) -> Option<Code> {
    match status {
        status if status.is_success() => None,
        StatusCode::BAD_REQUEST => Some(Code::Internal),
        StatusCode::UNAUTHORIZED => Some(Code::Unauthenticated),
        StatusCode::FORBIDDEN => Some(Code::PermissionDenied),
        StatusCode::NOT_FOUND => Some(Code::Unimplemented),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Some(Code::Unavailable),
        _ => Some(Code::Unknown),
    }
}

/// The code of a body's error, which is a status wherever the kit made it.
fn body_code<E: 'static>(error: &E) -> Code {
    let error: &dyn Any = error;
    let status = error
        .downcast_ref::<Status>()
        .or_else(|| error.downcast_ref::<BoxError>().and_then(|error| error.downcast_ref::<Status>()));
    status.map_or(Code::Internal, Status::code)
}

pin_project! {
    /// Passes the body on and looks for its end.
    #[derive(Debug)]
    pub struct ObservedBody<B, O: Observer> {
        #[pin]
        inner: B,
        ending: Ending<O>,
    }
}

impl<B, O: Observer> ObservedBody<B, O> {
    /// The observer, while the call has not ended.
    pub(crate) fn observer_mut(&mut self) -> Option<&mut O> {
        self.ending.running()
    }
}

impl<B, O> Body for ObservedBody<B, O>
where
    B: Body<Data = Bytes>,
    B::Error: 'static,
    O: Observer,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let entered = this.ending.enter();
        let frame = ready!(this.inner.poll_frame(cx));
        drop(entered);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    if let Some(observer) = this.ending.running() {
                        observer.sent(chunk);
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.ending.end(render::code_of(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(error)) => this.ending.end(body_code(error)),
            // An answer without a status at its end is what gRPC calls UNKNOWN.
            None => this.ending.end(Code::Unknown),
        }
        Poll::Ready(frame)
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
    use std::{
        future::{Ready, pending, ready},
        sync::{Arc, Mutex},
    };

    use futures_util::FutureExt as _;
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt as _, Empty, StreamBody};

    use super::*;
    use crate::failure::Kind;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<Code>>>);

    impl Observer for Seen {
        fn ended(&mut self, code: Code) {
            self.0.lock().expect("no panic").push(code);
        }
    }

    impl Seen {
        fn codes(&self) -> Vec<Code> {
            self.0.lock().expect("no panic").clone()
        }
    }

    type Answer = Ready<Result<Response<Empty<Bytes>>, Failure>>;

    #[test]
    fn a_trailers_only_answer_ends_at_its_head() {
        let seen = Seen::default();
        let status = Status::not_found("no");
        let answer: Answer = ready(Ok(status.into_http()));
        let response = ResponseFuture::new(answer, seen.clone()).now_or_never().expect("ready");
        assert_eq!(seen.codes(), [Code::NotFound]);
        drop(response);
        assert_eq!(seen.codes(), [Code::NotFound]);
    }

    #[test]
    fn a_refusal_ends_with_its_code() {
        let seen = Seen::default();
        let answer: Answer = ready(Err(Failure::new(Kind::RateLimited, "slow down")));
        let refused = ResponseFuture::new(answer, seen.clone()).now_or_never().expect("ready");
        assert!(refused.is_err());
        assert_eq!(seen.codes(), [Code::ResourceExhausted]);
    }

    #[test]
    fn a_dropped_future_is_cancelled() {
        let seen = Seen::default();
        let mut call =
            ResponseFuture::new(pending::<Result<Response<Empty<Bytes>>, Failure>>(), seen.clone());
        assert!((&mut call).now_or_never().is_none());
        drop(call);
        assert_eq!(seen.codes(), [Code::Cancelled]);
    }

    #[test]
    fn a_future_that_is_dropped_for_a_reason_ends_with_it() {
        let seen = Seen::default();
        let call = || ResponseFuture::new(pending::<Result<Response<Empty<Bytes>>, Failure>>(), seen.clone());
        let late = call();
        drop_as(Code::DeadlineExceeded, || drop(late));
        drop(call());
        assert_eq!(seen.codes(), [Code::DeadlineExceeded, Code::Cancelled]);
    }

    async fn answer_with(trailers: Option<HeaderMap>, seen: &Seen, read: usize) {
        let data = [Ok::<_, Failure>(Frame::data(Bytes::from_static(b"x")))];
        let frames = data.into_iter().chain(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let answer = ready(Ok::<_, Failure>(Response::new(body)));
        let mut body = ResponseFuture::new(answer, seen.clone()).await.expect("an answer").into_body();
        for _ in 0..read {
            if body.frame().await.is_none() {
                break;
            }
        }
    }

    #[tokio::test]
    async fn the_trailers_decide() {
        let seen = Seen::default();
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        answer_with(Some(trailers), &seen, 9).await;
        assert_eq!(seen.codes(), [Code::Ok]);
    }

    #[tokio::test]
    async fn a_body_dropped_before_its_trailers_is_cancelled() {
        let seen = Seen::default();
        answer_with(Some(HeaderMap::new()), &seen, 1).await;
        assert_eq!(seen.codes(), [Code::Cancelled]);
    }

    #[tokio::test]
    async fn a_body_without_trailers_is_unknown() {
        let seen = Seen::default();
        answer_with(None, &seen, 9).await;
        assert_eq!(seen.codes(), [Code::Unknown]);
    }

    #[tokio::test]
    async fn a_body_that_breaks_ends_with_its_own_code() {
        let boxed: BoxError = Box::new(Status::aborted("no"));
        assert_eq!(body_code(&boxed), Code::Aborted);
        assert_eq!(body_code(&std::fmt::Error), Code::Internal);
        let seen = Seen::default();
        let frames = [Err::<Frame<Bytes>, _>(Status::unavailable("it broke"))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let answer = ready(Ok::<_, Failure>(Response::new(body)));
        let mut body = ResponseFuture::new(answer, seen.clone()).await.expect("an answer").into_body();
        assert!(body.frame().await.is_some_and(|frame| frame.is_err()));
        assert_eq!(seen.codes(), [Code::Unavailable]);
    }

    #[test]
    fn answers_that_are_no_grpc_get_grpcs_codes() {
        for (status, code) in [
            (200, None),
            (401, Some(Code::Unauthenticated)),
            (403, Some(Code::PermissionDenied)),
            (404, Some(Code::Unimplemented)),
            (429, Some(Code::Unavailable)),
            (503, Some(Code::Unavailable)),
            (418, Some(Code::Unknown)),
        ] {
            assert_eq!(http_code(StatusCode::from_u16(status).expect("a status")), code, "{status}");
        }
    }
}
