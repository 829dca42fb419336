//! Turns a panic of a servicer into INTERNAL for its caller; the server and the other calls go on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::failure::{Failure, render};

/// Adds [`CatchPanic`] to a stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic { inner }
    }
}

/// Catches panics of the call below, of its future and of its answer's body. What panicked is never polled again, so
/// no broken state is seen.
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

impl<S, B, RB> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = Response<CaughtBody<RB>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(inner) => ResponseFuture { inner: Some(inner), panicked: None },
            Err(panic) => ResponseFuture { inner: None, panicked: Some(failure(&*panic)) },
        }
    }
}

/// The text of a panic goes to the log with the failure; the caller reads the fixed text.
fn failure(panic: &(dyn Any + Send)) -> Failure {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no text",
    };
    Failure::internal(format!("panic: {text}")).with_reason("PANIC")
}

pin_project! {
    /// Polls the call below as long as it has not panicked.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        panicked: Option<Failure>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Failure>,
{
    type Output = Result<Response<CaughtBody<B>>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return match this.panicked.take() {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            };
        };
        match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll
                .map_ok(|response| response.map(|inner| CaughtBody { inner: Some(inner) }))
                .map_err(Into::into),
            Err(panic) => {
                this.inner.set(None);
                Poll::Ready(Err(failure(&*panic)))
            }
        }
    }
}

pin_project! {
    /// The answer's body, as long as it has not panicked; then trailers that say so.
    #[derive(Debug)]
    pub struct CaughtBody<B> {
        #[pin]
        inner: Option<B>,
    }
}

impl<B: Body<Data = Bytes>> Body for CaughtBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(cx))) {
            Ok(frame) => frame,
            Err(panic) => {
                this.inner.set(None);
                let failure = failure(&*panic);
                tracing::error!(error = failure.chain(), "an answer's stream panicked");
                Poll::Ready(Some(Ok(Frame::trailers(render::trailers(&failure)))))
            }
        }
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
    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::failure::Kind;

    #[tokio::test]
    async fn a_panic_becomes_internal_with_the_text_for_the_log() {
        let service = service_fn(|request: Request<u32>| {
            assert!(*request.body() != 1, "at the call");
            async move {
                assert!(*request.body() != 2, "at the poll");
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        });
        for (body, text) in [(1, "at the call"), (2, "at the poll")] {
            let failure =
                CatchPanicLayer.layer(service).oneshot(Request::new(body)).await.expect_err("a panic");
            assert_eq!((failure.kind(), failure.reason()), (Kind::Internal, "PANIC"));
            assert!(failure.chain().contains(text) && !failure.to_string().contains(text));
        }
        CatchPanicLayer.layer(service).oneshot(Request::new(3)).await.expect("no panic");
    }

    #[tokio::test]
    async fn a_panicking_stream_ends_with_trailers() {
        let service = service_fn(|_: Request<()>| async {
            let frames =
                futures_util::stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                    panic!("in the stream")
                });
            Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
        });
        let response = CatchPanicLayer.layer(service).oneshot(Request::new(())).await.expect("an answer");
        let mut body = response.into_body();
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(render::code_of(frame.trailers_ref().expect("trailers")), Some(Code::Internal));
        assert!(body.frame().await.is_none());
    }
}
