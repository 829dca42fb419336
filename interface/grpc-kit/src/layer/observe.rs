//! The three layers that only look at a call, metrics, tracing and logging, around one service: they do what they do
//! alone, but the answer is watched once for all of them, and its body wrapped once.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tonic::Code;
use tower::{Layer, Service};
use tracing::Span;

use super::{
    logging::LoggingLayer,
    metrics::{MetricsLayer, ReceivedBody},
    tracing::{Outcome, TracingLayer},
};
use crate::{
    call::Call,
    failure::Failure,
    frames::FrameReader,
    methods::Methods,
    observe::{ObservedBody, Observer, ResponseFuture},
};

/// Who looks, outermost first.
pub type Observers = (MetricsLayer, TracingLayer, LoggingLayer);

/// Adds [`Observe`] to a stack.
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    methods: Arc<Methods>,
    observers: Observers,
}

impl ObserveLayer {
    /// Metrics around tracing around logging.
    pub fn new(methods: Arc<Methods>, observers: Observers) -> Self {
        Self { methods, observers }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe { inner, layer: Arc::new(self.clone()) }
    }
}

/// Counts and times each call, runs it in a span and logs it at its end.
#[derive(Debug)]
pub struct Observe<S> {
    inner: S,
    layer: Arc<ObserveLayer>,
}

impl<S: Clone> Clone for Observe<S> {
    /// With a reference of its own, which the calls of other connections, on other cores, do not count up and down.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: Arc::new((*self.layer).clone()) }
    }
}

impl<S, B, RB> Service<Request<B>> for Observe<S>
where
    S: Service<Request<ReceivedBody<B>>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    RB: Body,
{
    type Response = Response<ObservedBody<RB, Observed>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future, Observed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.layer.methods);
        let (metrics, tracing, _) = &self.layer.observers;
        let request = metrics.series(&call).begin(request);
        let outcome = tracing.begin(&call, request.headers());
        let future = outcome.in_scope(|| self.inner.call(request));
        let sent = FrameReader::default();
        ResponseFuture::new(future, Observed { call, layer: Arc::clone(&self.layer), outcome, sent })
    }
}

/// A call that has begun and not ended.
#[derive(Debug)]
pub struct Observed {
    call: Arc<Call>,
    layer: Arc<ObserveLayer>,
    outcome: Outcome,
    sent: FrameReader,
}

impl Observer for Observed {
    fn span(&self) -> Option<&Span> {
        self.outcome.span()
    }

    fn sent(&mut self, chunk: &[u8]) {
        let (metrics, _, _) = &self.layer.observers;
        self.sent.count(chunk, &metrics.series(&self.call).sent);
    }

    fn ended(&mut self, code: Code) {
        let (metrics, _, logging) = &self.layer.observers;
        logging.log(&self.call, code);
        self.outcome.ended(code);
        let call = &self.call;
        metrics.series(call).end(code, call.took(), call.trace());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use http_body_util::{BodyExt as _, Empty, Full};
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{
        access_log::AccessLog,
        layer::metrics::{HANDLED, IN_FLIGHT, RECEIVED, SENT},
        testing::{Recorded, SharedBuffer},
    };

    fn layer(recorded: &Recorded, log: &AccessLog) -> ObserveLayer {
        let methods = || Arc::new(Methods::empty());
        let metrics = recorded.install(|| MetricsLayer::new(methods()));
        let logging = LoggingLayer::new(methods(), Some(log.clone()), 1);
        ObserveLayer::new(methods(), (metrics, TracingLayer::new(methods(), None), logging))
    }

    fn request() -> Request<Full<Bytes>> {
        Request::new(Full::from(vec![0, 0, 0, 0, 0]))
    }

    #[tokio::test]
    async fn a_call_is_counted_and_logged_at_its_end() {
        let (recorded, out) = (Recorded::default(), SharedBuffer::default());
        let log = AccessLog::to(out.clone()).expect("a thread");
        let service = service_fn(|request: Request<ReceivedBody<Full<Bytes>>>| async move {
            request.into_body().collect().await.expect("a body");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(vec![0; 10])))
        });
        let response = layer(&recorded, &log).layer(service).oneshot(request()).await.expect("an answer");
        log.flush();
        assert_eq!((recorded.value(IN_FLIGHT, &[]), out.text().as_str()), (Some(1.0), ""));
        response.into_body().collect().await.expect("a body");
        log.flush();
        assert_eq!(recorded.value(IN_FLIGHT, &[]), Some(0.0));
        assert_eq!((recorded.value(RECEIVED, &[]), recorded.value(SENT, &[])), (Some(1.0), Some(2.0)));
        assert_eq!(recorded.value(HANDLED, &[("grpc_code", "UNKNOWN")]), Some(1.0));
        assert!(out.text().contains("\"status\":\"UNKNOWN\""), "{}", out.text());
    }

    #[test]
    fn a_dropped_call_is_cancelled_for_all_of_them() {
        let (recorded, out) = (Recorded::default(), SharedBuffer::default());
        let log = AccessLog::to(out.clone()).expect("a thread");
        let service = service_fn(|_: Request<ReceivedBody<Full<Bytes>>>| {
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        let mut call = Box::pin(layer(&recorded, &log).layer(service).oneshot(request()));
        assert!(call.as_mut().now_or_never().is_none());
        drop(call);
        log.flush();
        assert_eq!(recorded.value(HANDLED, &[("grpc_code", "CANCELLED")]), Some(1.0));
        assert_eq!(out.text().matches("CANCELLED").count(), 1);
    }
}
