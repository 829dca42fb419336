//! Counts and times calls under the conventional gRPC names. All series of all methods exist from the start; a path no
//! descriptor declares is counted under `unknown`, so callers cannot grow the label set.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use metrics::{Counter, Gauge, Histogram, Label, Unit};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};

use crate::{
    call::Call,
    exemplars::Exemplars,
    failure::{Failure, codes},
    frames::FrameReader,
    methods::{Method, Methods},
    observe::{ObservedBody, Observer, ResponseFuture},
    trace_context::TraceContext,
};

/// Calls begun, by type, service and method.
pub const STARTED: &str = "grpc_server_started_total";
/// Calls ended, also by code; a call dropped by its client is CANCELLED.
pub const HANDLED: &str = "grpc_server_handled_total";
/// Seconds from the first layer to the end of the answer, trailers included.
pub const HANDLING_SECONDS: &str = "grpc_server_handling_seconds";
/// Messages read from clients.
pub const RECEIVED: &str = "grpc_server_msg_received_total";
/// Messages written to clients.
pub const SENT: &str = "grpc_server_msg_sent_total";
/// Calls running now.
pub const IN_FLIGHT: &str = "grpc_server_in_flight";

/// Upper bounds in seconds for the exporter's histogram of [`HANDLING_SECONDS`].
pub const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What the families of one side are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) started: &'static str,
    pub(crate) handled: &'static str,
    pub(crate) seconds: &'static str,
    pub(crate) received: &'static str,
    pub(crate) sent: &'static str,
    pub(crate) in_flight: &'static str,
}

const SERVER: Names = Names {
    started: STARTED,
    handled: HANDLED,
    seconds: HANDLING_SECONDS,
    received: RECEIVED,
    sent: SENT,
    in_flight: IN_FLIGHT,
};

/// The series of one method.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) started: Counter,
    pub(crate) handled: [Counter; codes::CODES],
    pub(crate) seconds: Histogram,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    pub(crate) in_flight: Gauge,
    exemplars: Arc<Exemplars>,
}

impl Series {
    /// Registers them with the process's recorder, at 0.
    pub(crate) fn new(method: &Method, names: &Names) -> Self {
        let labels = vec![
            Label::new("grpc_type", method.streaming.label()),
            Label::new("grpc_service", method.service.to_string()),
            Label::new("grpc_method", method.name.to_string()),
        ];
        let with_code = |code| {
            let mut labels = labels.clone();
            labels.push(Label::new("grpc_code", codes::name(code)));
            metrics::counter!(names.handled, labels)
        };
        let series = Self {
            started: metrics::counter!(names.started, labels.clone()),
            handled: std::array::from_fn(|index| with_code(Code::from(index as i32))),
            seconds: metrics::histogram!(names.seconds, labels.clone()),
            received: metrics::counter!(names.received, labels.clone()),
            sent: metrics::counter!(names.sent, labels.clone()),
            in_flight: metrics::gauge!(names.in_flight, labels),
            exemplars: Exemplars::of(names.seconds, method),
        };
        series.touch();
        series
    }

    /// Counts a call that begins, and its messages from now on.
    pub(crate) fn begin<B>(&self, request: Request<B>) -> Request<ReceivedBody<B>> {
        self.started.increment(1);
        self.in_flight.increment(1.0);
        request.map(|inner| ReceivedBody::new(inner, self.received.clone()))
    }

    /// Counts the end of a call that is part of this trace.
    pub(crate) fn end(&self, code: Code, took: Duration, trace: Option<&TraceContext>) {
        self.in_flight.decrement(1.0);
        self.handled[code as usize].increment(1);
        self.seconds.record(took.as_secs_f64());
        self.exemplars.keep(trace, took);
    }

    fn touch(&self) {
        for counter in [&self.started, &self.received, &self.sent].into_iter().chain(&self.handled) {
            counter.increment(0);
        }
        // Not set: what runs already is counted in it.
        self.in_flight.increment(0.0);
    }
}

fn describe() {
    metrics::describe_counter!(STARTED, "calls begun");
    metrics::describe_counter!(HANDLED, "calls ended, by code");
    metrics::describe_histogram!(
        HANDLING_SECONDS,
        Unit::Seconds,
        "time from a call's first byte to its last"
    );
    metrics::describe_counter!(RECEIVED, "messages read from clients");
    metrics::describe_counter!(SENT, "messages written to clients");
    metrics::describe_gauge!(IN_FLIGHT, "calls running now");
}

/// Adds [`Metrics`] to a stack.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    methods: Arc<Methods>,
    series: Arc<[Series]>,
}

impl MetricsLayer {
    /// The series of this call's method.
    pub(super) fn series(&self, call: &Call) -> &Series {
        &self.series[call.method_id().index()]
    }

    /// Registers every series of every method with the process's recorder, which has to be installed before.
    pub fn new(methods: Arc<Methods>) -> Self {
        describe();
        let series = methods.all().iter().map(|method| Series::new(method, &SERVER)).collect();
        Self { methods, series }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics { inner, methods: Arc::clone(&self.methods), series: Arc::clone(&self.series) }
    }
}

/// Counts and times the calls that pass through it, whatever becomes of them.
#[derive(Clone, Debug)]
pub struct Metrics<S> {
    inner: S,
    methods: Arc<Methods>,
    series: Arc<[Series]>,
}

impl<S, B, RB> Service<Request<B>> for Metrics<S>
where
    S: Service<Request<ReceivedBody<B>>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    RB: Body,
{
    type Response = Response<ObservedBody<RB, Running>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future, Running>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.methods);
        let request = self.series[call.method_id().index()].begin(request);
        let running = Running { call, series: Arc::clone(&self.series), sent: FrameReader::default() };
        ResponseFuture::new(self.inner.call(request), running)
    }
}

/// A call that has begun and not ended.
#[derive(Debug)]
pub struct Running {
    call: Arc<Call>,
    series: Arc<[Series]>,
    sent: FrameReader,
}

impl Observer for Running {
    fn sent(&mut self, chunk: &[u8]) {
        self.sent.count(chunk, &self.series[self.call.method_id().index()].sent);
    }

    fn ended(&mut self, code: Code) {
        let call = &self.call;
        self.series[call.method_id().index()].end(code, call.took(), call.trace());
    }
}

pin_project! {
    /// A request body whose messages are counted as they are read.
    #[derive(Debug)]
    pub struct ReceivedBody<B> {
        #[pin]
        inner: B,
        received: Counter,
        frames: FrameReader,
    }
}

impl<B> ReceivedBody<B> {
    pub(crate) fn new(inner: B, received: Counter) -> Self {
        Self { inner, received, frames: FrameReader::default() }
    }
}

impl<B: Body<Data = Bytes>> Body for ReceivedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
        {
            this.frames.count(chunk, this.received);
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
    use std::convert::Infallible;

    use futures_util::FutureExt as _;
    use http_body_util::{BodyExt as _, Empty, Full};
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::{
        failure::Kind,
        health::{DESCRIPTOR, SERVICE},
        testing::Recorded,
    };

    const CHECK: &str = "/grpc.health.v1.Health/Check";

    fn layer(recorded: &Recorded) -> MetricsLayer {
        let mut methods = Methods::empty();
        methods.add(SERVICE, DESCRIPTOR).expect("the health service");
        recorded.install(|| MetricsLayer::new(Arc::new(methods)))
    }

    fn request(path: &str) -> Request<Full<Bytes>> {
        Request::builder().uri(path).body(Full::from(vec![0, 0, 0, 0, 1, 9])).expect("a request")
    }

    #[test]
    fn every_series_is_there_from_the_start() {
        let recorded = Recorded::default();
        layer(&recorded);
        assert_eq!(
            recorded.value(HANDLED, &[("grpc_method", "Check"), ("grpc_code", "NOT_FOUND")]),
            Some(0.0)
        );
        assert_eq!(recorded.value(STARTED, &[("grpc_method", "unknown")]), Some(0.0));
    }

    #[tokio::test]
    async fn an_answered_call_is_counted_with_its_messages() {
        let recorded = Recorded::default();
        let service = service_fn(|request: Request<ReceivedBody<Full<Bytes>>>| async move {
            request.into_body().collect().await.expect("a body");
            let mut answer = Response::new(Full::from(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            answer.headers_mut().insert("x-unrelated", http::HeaderValue::from_static("1"));
            Ok::<_, Infallible>(answer)
        });
        let response = layer(&recorded).layer(service).oneshot(request(CHECK)).await.expect("an answer");
        let method = ("grpc_method", "Check");
        assert_eq!(recorded.value(IN_FLIGHT, &[method]), Some(1.0));
        response.into_body().collect().await.expect("a body");
        assert_eq!(recorded.value(IN_FLIGHT, &[method]), Some(0.0));
        assert_eq!(recorded.value(RECEIVED, &[method]), Some(1.0));
        assert_eq!(recorded.value(SENT, &[method]), Some(2.0));
        assert_eq!(recorded.value(HANDLING_SECONDS, &[method]), Some(1.0));
    }

    #[tokio::test]
    async fn refused_and_unknown_calls_are_counted() {
        let recorded = Recorded::default();
        let service = service_fn(|_: Request<ReceivedBody<Full<Bytes>>>| async {
            Err::<Response<Empty<Bytes>>, _>(Failure::new(Kind::Overloaded, "full"))
        });
        let refused = layer(&recorded).layer(service).oneshot(request("/any/thing?else")).await;
        assert!(refused.is_err());
        let labels = [("grpc_method", "unknown"), ("grpc_code", "RESOURCE_EXHAUSTED")];
        assert_eq!(recorded.value(HANDLED, &labels), Some(1.0));
        assert_eq!(recorded.value(IN_FLIGHT, &[("grpc_method", "unknown")]), Some(0.0));
    }

    #[test]
    fn a_dropped_call_is_cancelled() {
        let recorded = Recorded::default();
        let service = service_fn(|_: Request<ReceivedBody<Full<Bytes>>>| {
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        });
        let mut call = Box::pin(layer(&recorded).layer(service).oneshot(request(CHECK)));
        assert!(call.as_mut().now_or_never().is_none());
        drop(call);
        let labels = [("grpc_method", "Check"), ("grpc_code", "CANCELLED")];
        assert_eq!(recorded.value(HANDLED, &labels), Some(1.0));
        assert_eq!(recorded.value(IN_FLIGHT, &[("grpc_method", "Check")]), Some(0.0));
    }
}
