//! Bounds the size of one message in both directions, by the length that precedes it: too large a message is refused
//! before it is read into memory or sent, after those before it have been passed on. And sees to it that a request that was broken off is never read as a whole one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{BoxError, Layer, Service};

use crate::{
    failure::{Failure, Kind, render},
    frames::FrameReader,
};

/// Adds [`MessageLimit`] to a stack.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimitLayer {
    max_bytes: usize,
}

impl MessageLimitLayer {
    /// No message above this many bytes, as sent: after compression.
    pub const fn new(max_bytes: usize) -> Self {
        Self { max_bytes }
    }
}

impl<S> Layer<S> for MessageLimitLayer {
    type Service = MessageLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MessageLimit { inner, max_bytes: self.max_bytes }
    }
}

/// Fails a request body, and ends an answer, with RESOURCE_EXHAUSTED at a message that is too large.
#[derive(Clone, Debug)]
pub struct MessageLimit<S> {
    inner: S,
    max_bytes: usize,
}

impl<S, B, RB> Service<Request<B>> for MessageLimit<S>
where
    S: Service<Request<LimitedRequest<B>>, Response = Response<RB>>,
{
    type Response = Response<LimitedResponse<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = Limit::new(self.max_bytes);
        let request = request.map(|inner| LimitedRequest { inner, limit, state: State::Whole });
        ResponseFuture { inner: self.inner.call(request), max_bytes: self.max_bytes }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    frames: FrameReader,
    max_bytes: usize,
    /// How many have begun that are small enough.
    messages: u64,
}

impl Limit {
    fn new(max_bytes: usize) -> Self {
        Self { frames: FrameReader::default(), max_bytes, messages: 0 }
    }

    /// Refuses a message that is too large; the chunk is good up to where it begins.
    fn check(&mut self, chunk: &[u8]) -> Result<(), (usize, Failure)> {
        let mut large = None;
        let (max, messages) = (self.max_bytes, &mut self.messages);
        self.frames.read(chunk, |length, at| {
            if length > max && large.is_none() {
                large = Some((length, at));
            }
            *messages += u64::from(large.is_none());
        });
        let Some((length, at)) = large else { return Ok(()) };
        let text = format!("a message of {length} bytes is above the limit of {max} bytes");
        Err((at, Failure::new(Kind::Overloaded, text).with_reason("MESSAGE_TOO_LARGE")))
    }
}

pin_project! {
    /// Waits for the head of the answer.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        max_bytes: usize,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitedResponse<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let limit = Limit::new(*this.max_bytes);
        Poll::Ready(Ok(response.map(|inner| LimitedResponse { inner: Some(inner), limit, refused: None })))
    }
}

pin_project! {
    /// A request body that fails at a message that is too large, with the status to answer.
    #[derive(Debug)]
    pub struct LimitedRequest<B> {
        #[pin]
        inner: B,
        limit: Limit,
        state: State,
    }
}

/// What becomes of a request.
#[derive(Debug)]
enum State {
    Whole,
    BrokenOff,
    /// At a message that is too large.
    Refused(Box<Failure>),
    Over,
}

/// Whether the caller cancelled the call before its request was whole.
fn is_cancel(error: &BoxError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        if let Some(broken) = error.downcast_ref::<h2::Error>() {
            return broken.reason() == Some(h2::Reason::CANCEL);
        }
        cause = error.source();
    }
    false
}

/// Any code but CANCELLED, which tonic's servers take for the end of the request: half a stream would be a whole one.
fn broken_off() -> BoxError {
    Status::aborted("the caller broke off its request").into()
}

impl<B> Body for LimitedRequest<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        match this.state {
            State::Whole => {}
            State::BrokenOff => return Poll::Ready(Some(Err(broken_off()))),
            State::Refused(failure) => {
                let status = render::status(failure);
                *this.state = State::Over;
                return Poll::Ready(Some(Err(status.into())));
            }
            State::Over => return Poll::Ready(None),
        }
        let Some(frame) = ready!(this.inner.poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = match frame.map_err(Into::into) {
            Ok(frame) => frame,
            Err(error) if is_cancel(&error) => {
                // The connection drops the call once it has been polled, and it counts as cancelled. Only who reads on
                // elsewhere is polled again.
                *this.state = State::BrokenOff;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if let Some(chunk) = frame.data_ref()
            && let Err((at, failure)) = this.limit.check(chunk)
        {
            // What came before it may be acted upon.
            let failure = if this.limit.messages > 0 { failure } else { failure.untouched() };
            if at > 0 {
                let before = chunk.slice(..at);
                *this.state = State::Refused(Box::new(failure));
                return Poll::Ready(Some(Ok(Frame::data(before))));
            }
            *this.state = State::Over;
            return Poll::Ready(Some(Err(render::status(&failure).into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Whole) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// An answer's body that ends at a message that is too large.
    #[derive(Debug)]
    pub struct LimitedResponse<B> {
        #[pin]
        inner: Option<B>,
        limit: Limit,
        // Told after what came before the message.
        refused: Option<Box<Failure>>,
    }
}

/// The end of an answer.
fn refusal<E>(failure: &Failure) -> Poll<Option<Result<Frame<Bytes>, E>>> {
    Poll::Ready(Some(Ok(Frame::trailers(render::trailers(failure)))))
}

impl<B: Body<Data = Bytes>> Body for LimitedResponse<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return this.refused.take().map_or(Poll::Ready(None), |failure| refusal(&failure));
        };
        let frame = ready!(inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
            && let Err((at, failure)) = this.limit.check(chunk)
        {
            this.inner.set(None);
            if at == 0 {
                return refusal(&failure);
            }
            let before = chunk.slice(..at);
            *this.refused = Some(Box::new(failure));
            return Poll::Ready(Some(Ok(Frame::data(before))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.refused.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    fn message(length: u8) -> Full<Bytes> {
        let mut bytes = vec![0, 0, 0, 0, length];
        bytes.extend(std::iter::repeat_n(7, usize::from(length)));
        Full::from(bytes)
    }

    #[tokio::test]
    async fn a_request_at_the_limit_passes_and_one_above_fails() {
        for (length, code) in [(8, None), (9, Some(Code::ResourceExhausted))] {
            let service = service_fn(|request: Request<LimitedRequest<Full<Bytes>>>| async {
                let read = request.into_body().collect().await.map(|_| ());
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{:?}", code_of(read)))))
            });
            let layer = MessageLimitLayer::new(8);
            let response =
                layer.layer(service).oneshot(Request::new(message(length))).await.expect("an answer");
            let LimitedResponse { inner, .. } = response.into_body();
            let text = inner.expect("a body").collect().await.expect("text").to_bytes();
            assert_eq!(text, format!("{code:?}"));
        }
    }

    #[tokio::test]
    async fn a_request_that_is_broken_off_is_no_whole_one() {
        let cancel = stream::once(async { Err(h2::Error::from(h2::Reason::CANCEL)) });
        let whole = stream::iter([Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0])))]);
        let inner = StreamBody::new(Box::pin(whole.chain(cancel)));
        let mut body = LimitedRequest { inner, limit: Limit::new(8), state: State::Whole };
        assert!(body.frame().await.expect("a frame").is_ok());
        assert!(body.frame().now_or_never().is_none(), "once nothing, for the call to be dropped");
        let error = body.frame().await.expect("no end").expect_err("broken off");
        assert_eq!(Status::from_error(error).code(), Code::Aborted);
    }

    /// Two that are small enough and one that is not, in one chunk.
    async fn three() -> Full<Bytes> {
        let mut chunk = Vec::new();
        for length in [3, 8, 9] {
            chunk.extend(message(length).collect().await.expect("bytes").to_bytes());
        }
        Full::from(chunk)
    }

    #[tokio::test]
    async fn what_comes_before_a_message_that_is_too_large_is_read_and_then_it_is_refused() {
        let mut body = LimitedRequest { inner: three().await, limit: Limit::new(8), state: State::Whole };
        let before = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        assert_eq!(before.len(), 5 + 3 + 5 + 8);
        assert!(!body.is_end_stream());
        let error = body.frame().await.expect("a frame").expect_err("refused");
        let status = Status::from_error(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = tonic_types::StatusExt::get_details_error_info(&status).expect("an error info");
        assert_eq!(info.metadata["effect"], "unknown", "they may be acted upon");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_comes_before_a_message_that_is_too_large_is_sent_and_then_the_answer_ends() {
        let mut body = LimitedResponse { inner: Some(three().await), limit: Limit::new(8), refused: None };
        let before = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
        assert_eq!(before.len(), 5 + 3 + 5 + 8);
        assert!(!body.is_end_stream());
        let trailers = body.frame().await.expect("a frame").expect("no error").into_trailers();
        assert_eq!(render::code_of(&trailers.expect("trailers")), Some(Code::ResourceExhausted));
        assert!(body.frame().await.is_none());
    }

    fn code_of(read: Result<(), BoxError>) -> Option<Code> {
        read.err().map(|error| Status::from_error(error).code())
    }

    #[tokio::test]
    async fn an_answer_above_the_limit_ends_with_trailers() {
        let service = service_fn(|_: Request<LimitedRequest<Full<Bytes>>>| async {
            Ok::<_, Infallible>(Response::new(message(9)))
        });
        let layer = MessageLimitLayer::new(8);
        let response = layer.layer(service).oneshot(Request::new(message(1))).await.expect("an answer");
        let mut body = response.into_body();
        let frame = body.frame().await.expect("a frame").expect("no error");
        let code = render::code_of(frame.trailers_ref().expect("trailers"));
        assert_eq!(code, Some(Code::ResourceExhausted));
        assert!(body.frame().await.is_none());
    }
}
