//! Renders errors: a refusal by a layer below becomes an answer, a failed status gets its `google.rpc` details, and an
//! unknown cause loses its text.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::{
    call::Call,
    failure::{Failure, codes, render},
    methods::Methods,
};

/// Adds [`Error`] to a stack.
#[derive(Clone, Debug)]
pub struct ErrorLayer {
    methods: Arc<Methods>,
}

impl ErrorLayer {
    /// The methods by which the domain of an error, the called service, is told.
    pub fn new(methods: Arc<Methods>) -> Self {
        Self { methods }
    }
}

impl<S> Layer<S> for ErrorLayer {
    type Service = Error<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Error { inner, methods: Arc::clone(&self.methods) }
    }
}

/// Answers every call: above it there are no errors, only statuses.
#[derive(Clone, Debug)]
pub struct Error<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S, B, RB> Service<Request<B>> for Error<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
{
    type Response = Response<ErrorBody<RB>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    /// A stack that can no longer take calls refuses each one: there is nobody above to hear of it.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.methods);
        ResponseFuture { inner: self.inner.call(request), call: Some(call) }
    }
}

pin_project! {
    /// Renders a refusal, and completes a trailers-only answer.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Arc<Call>>,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Failure>,
{
    type Output = Result<Response<ErrorBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let Some(call) = this.call.take() else { return Poll::Pending };
        Poll::Ready(Ok(match result {
            Err(refusal) => rendered(&refusal.into(), &call),
            Ok(mut response) => {
                if render::code_of(response.headers()).is_some_and(|code| code != Code::Ok) {
                    complete(response.headers_mut(), &call);
                }
                response.map(|inner| ErrorBody { inner: Some(inner), call: Some(call) })
            }
        }))
    }
}

/// The trailers-only answer for a call that never reached its servicer.
fn rendered<B>(failure: &Failure, call: &Call) -> Response<ErrorBody<B>> {
    if codes::hides_cause(failure.kind()) {
        log(call, &failure.chain());
    }
    let (status, _) = render::finish(&render::status(failure), &call.method().service, call.request_id());
    let mut response = Response::new(ErrorBody { inner: None, call: None });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    render::write(&status, headers);
    response
}

/// Completes the status in headers or trailers, leaving the other entries.
fn complete(headers: &mut HeaderMap, call: &Call) {
    let Some(status) = bare_status(headers) else { return };
    let (status, finished) = render::finish(&status, &call.method().service, call.request_id());
    if let Some(hidden) = finished.hidden {
        log(call, &hidden);
    }
    render::write(&status, headers);
}

/// The status without the metadata around it, which stays where it is.
fn bare_status(headers: &HeaderMap) -> Option<Status> {
    let mut bare = HeaderMap::with_capacity(3);
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        if let Some(value) = headers.get(name) {
            bare.insert(HeaderName::from_static(name), value.clone());
        }
    }
    Status::from_header_map(&bare)
}

fn log(call: &Call, cause: &str) {
    tracing::error!(method = call.path(), correlation_id = call.request_id(), error = cause, "a call failed");
}

pin_project! {
    /// The body below, with a failed status in its trailers completed; none for a rendered refusal.
    #[derive(Debug)]
    pub struct ErrorBody<B> {
        #[pin]
        inner: Option<B>,
        call: Option<Arc<Call>>,
    }
}

impl<B: Body<Data = Bytes>> Body for ErrorBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let mut frame = ready!(inner.poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
            && render::code_of(trailers).is_some_and(|code| code != Code::Ok)
            && let Some(call) = this.call
        {
            complete(trailers, call);
        }
        Poll::Ready(frame)
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
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic_types::StatusExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::failure::Kind;

    async fn answer<B: Body<Data = Bytes>>(result: Result<Response<B>, Failure>) -> Response<ErrorBody<B>> {
        let mut result = Some(result);
        let service = service_fn(move |_: Request<()>| std::future::ready(result.take().expect("one call")));
        let layer = ErrorLayer::new(Arc::new(Methods::empty()));
        let request = Request::builder().header("x-correlation-id", "req-7").body(()).expect("a request");
        layer.layer(service).oneshot(request).await.expect("always an answer")
    }

    fn status_of(headers: &HeaderMap) -> Status {
        Status::from_header_map(headers).expect("a status")
    }

    #[tokio::test]
    async fn a_refusal_becomes_a_complete_status() {
        let failure = Failure::new(Kind::RateLimited, "too often");
        let response = answer::<tonic::body::Body>(Err(failure)).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/grpc");
        let status = status_of(response.headers());
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "too often"));
        let details = status.get_error_details();
        assert_eq!(details.error_info().expect("error info").reason, "RATE_LIMITED");
        assert_eq!(details.request_info().expect("request info").request_id, "req-7");
        assert!(response.into_body().is_end_stream());
    }

    #[tokio::test]
    async fn a_servicers_internal_text_does_not_leave() {
        let given = Status::internal("SELECT secret").into_http::<tonic::body::Body>();
        let response = answer(Ok(given)).await;
        assert_eq!(status_of(response.headers()).message(), codes::FIXED_TEXT);
    }

    #[tokio::test]
    async fn trailers_are_completed_too() {
        let mut trailers = HeaderMap::new();
        render::write(&Status::unknown("/var/lib/x"), &mut trailers);
        trailers.insert("x-extra", HeaderValue::from_static("kept"));
        let frames = [Ok::<_, Status>(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let mut body = answer(Ok(Response::new(body))).await.into_body();
        let frame = body.frame().await.expect("a frame").expect("no error");
        let trailers = frame.trailers_ref().expect("trailers");
        assert_eq!(trailers["x-extra"], "kept");
        let status = status_of(trailers);
        assert_eq!((status.code(), status.message()), (Code::Unknown, codes::FIXED_TEXT));
        assert_eq!(status.get_error_details().error_info().expect("error info").reason, "INTERNAL");
    }
}
