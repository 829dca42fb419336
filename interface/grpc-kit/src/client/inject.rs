//! What every attempt carries in its headers: the trace, the correlation id, and a token.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};

use super::{credentials::Credentials, outgoing::Outgoing};
use crate::{
    call::REQUEST_ID_HEADER,
    failure::{Failure, render},
    methods::{Method, Methods},
    trace_context::TraceContext,
};

/// Writes the present trace into the headers of a call. The kit does not choose a tracing system: the process that
/// exports traces implements this with its own. Without one, calls continue the trace of the served call they are
/// made for.
pub trait Propagate: Send + Sync + 'static {
    /// Writes `traceparent` and whatever belongs to it.
    fn inject(&self, method: &Method, headers: &mut HeaderMap);
}

/// Adds [`Inject`] to a stack.
#[derive(Clone)]
pub(super) struct InjectLayer {
    pub(super) methods: Arc<Methods>,
    pub(super) propagate: Option<Arc<dyn Propagate>>,
    pub(super) credentials: Option<Credentials>,
}

impl fmt::Debug for InjectLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectLayer").finish_non_exhaustive()
    }
}

impl InjectLayer {
    fn write(&self, outgoing: &Outgoing, headers: &mut HeaderMap) {
        let served = outgoing.on_behalf.as_ref();
        if let Some(call) = served
            && !headers.contains_key(REQUEST_ID_HEADER)
        {
            headers.insert(REQUEST_ID_HEADER, call.request_id_header());
        }
        match (&self.propagate, served.and_then(|call| call.trace())) {
            (Some(propagate), _) => {
                propagate.inject(outgoing.method(), headers);
                if let Some(trace) = TraceContext::from_headers(headers) {
                    outgoing.set_trace(trace);
                }
            }
            (None, Some(trace)) => trace.write(headers),
            (None, None) => {}
        }
    }
}

impl<S> Layer<S> for InjectLayer {
    type Service = Inject<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Inject { inner, layer: self.clone() }
    }
}

/// Writes the headers, and waits for a token when there is none yet. A token the caller set itself stays.
#[derive(Clone, Debug)]
pub(super) struct Inject<S> {
    inner: S,
    layer: InjectLayer,
}

impl<S, B, RB> Service<Request<B>> for Inject<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<RB>;
    type Error = Failure;
    type Future = InjectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let outgoing = Outgoing::of(&request, &self.layer.methods);
        self.layer.write(&outgoing, request.headers_mut());
        let needed =
            self.layer.credentials.clone().filter(|_| !request.headers().contains_key(AUTHORIZATION));
        let Some(credentials) = needed else {
            return InjectFuture { state: State::Sent { future: self.inner.call(request) }, token: None };
        };
        let Some(value) = credentials.held() else {
            let mut inner = self.inner.clone();
            let waited = Box::pin(async move {
                let value = credentials.wait().await?;
                request.headers_mut().insert(AUTHORIZATION, value);
                Ok(inner.call(request))
            });
            return InjectFuture { state: State::Waiting { waited }, token: None };
        };
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        let future = self.inner.call(request);
        InjectFuture { state: State::Sent { future }, token: Some((credentials, value)) }
    }
}

/// The call below, once the token is there.
type Waited<F> = Pin<Box<dyn Future<Output = Result<F, Failure>> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Sent { #[pin] future: F },
        // Boxed: it is there before the first token is, not afterwards.
        Waiting { waited: Waited<F> },
    }
}

pin_project! {
    /// The call below, after a token was waited for if there was none.
    pub(super) struct InjectFuture<F> {
        #[pin]
        state: State<F>,
        token: Option<(Credentials, HeaderValue)>,
    }
}

impl<F, RB> Future for InjectFuture<F>
where
    F: Future<Output = Result<Response<RB>, Failure>>,
{
    type Output = Result<Response<RB>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Sent { future } => {
                    let result = ready!(future.poll(cx));
                    if let (Some((credentials, value)), Ok(response)) = (this.token.take(), &result)
                        && render::code_of(response.headers()) == Some(Code::Unauthenticated)
                    {
                        credentials.refused(&value);
                    }
                    return Poll::Ready(result);
                }
                StateProjection::Waiting { waited } => match ready!(waited.as_mut().poll(cx)) {
                    Ok(future) => this.state.set(State::Sent { future }),
                    Err(failure) => return Poll::Ready(Err(failure)),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::server::config::Secret;

    type Seen = Arc<Mutex<HeaderMap>>;

    /// The headers an attempt is sent with.
    async fn sent(layer: InjectLayer, request: Request<()>) -> Result<HeaderMap, Failure> {
        let seen = Seen::default();
        let of_service = Arc::clone(&seen);
        let service = service_fn(move |request: Request<()>| {
            *of_service.lock().expect("no panic") = request.headers().clone();
            std::future::ready(Ok::<_, Failure>(Response::new(())))
        });
        layer.layer(service).oneshot(request).await?;
        let headers = seen.lock().expect("no panic").clone();
        Ok(headers)
    }

    fn layer(token: Option<&str>) -> InjectLayer {
        InjectLayer {
            methods: Arc::new(Methods::empty()),
            propagate: None,
            credentials: token.map(|token| Credentials::new(Secret::new(token))),
        }
    }

    #[tokio::test]
    async fn a_token_is_waited_for_and_the_callers_own_stays() {
        let headers = sent(layer(Some("abc")), Request::new(())).await.expect("sent");
        assert_eq!(headers[AUTHORIZATION], "Bearer abc");
        let mut own = Request::new(());
        own.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
        assert_eq!(sent(layer(Some("abc")), own).await.expect("sent")[AUTHORIZATION], "Bearer own");
    }

    #[tokio::test]
    async fn the_served_calls_trace_and_id_go_on() {
        let mut served = Request::builder().header("x-correlation-id", "abc-1").body(()).expect("a request");
        let call = crate::call::Call::enter(&mut served, &Arc::new(Methods::empty()));
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let from = HeaderMap::from_iter([(
            http::HeaderName::from_static("traceparent"),
            HeaderValue::from_static(parent),
        )]);
        call.set_trace(TraceContext::from_headers(&from).expect("a trace"));
        let headers = call.scope(sent(layer(None), Request::new(()))).await.expect("sent");
        assert_eq!(headers["traceparent"], parent);
        assert_eq!(headers["x-correlation-id"], "abc-1");
    }
}
