//! What every servicer gets from the kit's call: the name of its caller, and an end of its streams when the server drains.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hive_grpc::caller::Authenticated;
use hive_grpc_kit::call::Call;
use hive_grpc_kit::server::router::{RequestBody, Servicer};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::gate::grant;

/// [`Code::Unavailable`] as headers have it.
const UNAVAILABLE: &str = "14";

/// A servicer within the kit's calls.
#[derive(Clone, Debug)]
pub(super) struct InCall<S> {
    servicer: S,
    failed: Arc<Notify>,
}

impl<S> InCall<S> {
    /// `failed` is told of every call that fails because something is away.
    pub(super) fn new(servicer: S, failed: &Arc<Notify>) -> Self {
        InCall { servicer, failed: Arc::clone(failed) }
    }
}

impl<S: NamedService> NamedService for InCall<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Servicer> Service<Request<RequestBody>> for InCall<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.servicer.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let Some(call) = request.extensions().get::<Arc<Call>>().cloned() else {
            return self.servicer.call(request);
        };
        if let Some(trace) = call.trace() {
            // What follows from the call belongs to its span, not to the caller's.
            trace.write(request.headers_mut());
        }
        if let Some(principal) = call.principal() {
            let (name, grant) = (principal.subject().to_owned(), grant(principal));
            request.extensions_mut().insert(Authenticated { name, grant });
        }
        let failed = Arc::clone(&self.failed);
        let answer = self.servicer.call(request);
        let answer = async move {
            let Ok(answer) = answer.await;
            if answer.headers().get("grpc-status").is_some_and(|code| code == UNAVAILABLE) {
                failed.notify_one();
            }
            answer
        };
        if !call.method().streaming.answers_with_stream() {
            return Box::pin(async move { Ok(answer.await) });
        }
        let mut draining = call.draining();
        Box::pin(async move {
            let drained = Box::pin(async move { draining.draining().await });
            let answer = answer.await;
            Ok(answer.map(|body| Body::new(UntilDrained { body, state: Draining::NotYet(drained) })))
        })
    }
}

/// Frames that still go out after the drain began, of a body that always has another.
const LAST_FRAMES: usize = 1_024;

/// A body that ends when its server drains: with UNAVAILABLE, which tells the caller to go on elsewhere.
struct UntilDrained {
    body: Body,
    state: Draining,
}

enum Draining {
    NotYet(BoxFutureUnit),
    /// What is there already goes out first, at most so many frames.
    Begun(usize),
    Ended,
}

type BoxFutureUnit = Pin<Box<dyn Future<Output = ()> + Send>>;

impl HttpBody for UntilDrained {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, state } = &mut *self;
        if let Draining::NotYet(drained) = state
            && drained.as_mut().poll(cx).is_ready()
        {
            *state = Draining::Begun(LAST_FRAMES);
        }
        match state {
            Draining::NotYet(_) => return Pin::new(body).poll_frame(cx),
            Draining::Begun(left) if *left > 0 => {
                *left -= 1;
                if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
                    return Poll::Ready(frame);
                }
            }
            Draining::Begun(_) => {}
            Draining::Ended => return Poll::Ready(None),
        }
        *state = Draining::Ended;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(Code::Unavailable as i32));
        trailers.insert("grpc-message", HeaderValue::from_static("the server is shutting down"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, Draining::Ended) || self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Always has another frame.
    struct Busy;

    impl HttpBody for Busy {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_body_that_always_has_more_ends_when_the_server_drains() {
        let state = Draining::NotYet(Box::pin(std::future::ready(())));
        let mut body = UntilDrained { body: Body::new(Busy), state };
        let mut frames = 0;
        let trailers = loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap().into_trailers() {
                Ok(trailers) => break trailers,
                Err(_) => frames += 1,
            }
            assert!(frames <= LAST_FRAMES);
        };
        assert_eq!(trailers["grpc-status"], "14");
        assert!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_none());
    }
}
