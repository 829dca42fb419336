//! Opens the record of the call and answers with its request id.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::{
    call::{Call, REQUEST_ID_HEADER},
    methods::Methods,
};

/// Adds [`RequestId`] to a stack.
#[derive(Clone, Debug)]
pub struct RequestIdLayer {
    methods: Arc<Methods>,
}

impl RequestIdLayer {
    /// The methods by which calls are told apart.
    pub fn new(methods: Arc<Methods>) -> Self {
        Self { methods }
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestId<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestId { inner, methods: Arc::clone(&self.methods) }
    }
}

/// Opens a [`Call`] for every request: its id is the caller's `x-correlation-id` (or `x-request-id`) when usable,
/// else new, and is sent back.
#[derive(Clone, Debug)]
pub struct RequestId<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S, B, RB> Service<Request<B>> for RequestId<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.methods);
        ResponseFuture { request_id: call.request_id_header(), inner: self.inner.call(request) }
    }
}

pin_project! {
    /// Adds the id to the answer's headers.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        request_id: HeaderValue,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const NAME: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        response.headers_mut().insert(NAME, this.request_id.clone());
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[tokio::test]
    async fn servicer_and_caller_see_the_same_id() {
        let service = service_fn(|request: Request<()>| async move {
            let call = request.extensions().get::<Arc<Call>>().expect("the call");
            Ok::<_, Infallible>(Response::new(call.request_id().to_owned()))
        });
        let service = RequestIdLayer::new(Arc::new(Methods::empty())).layer(service);
        let response = service.oneshot(Request::new(())).await.expect("an answer");
        assert_eq!(response.headers()[REQUEST_ID_HEADER], response.body().as_str());
    }
}
