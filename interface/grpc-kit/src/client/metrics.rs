//! Counts and times attempts under the conventional gRPC names of clients: a call that is sent twice counts twice here,
//! as it does at the servers.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use ::metrics::{Counter, Gauge};
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, Service};

use super::outgoing::Outgoing;
use crate::{
    failure::Failure,
    frames::FrameReader,
    layer::metrics::{Names, ReceivedBody, Series},
    methods::Methods,
    observe::{ObservedBody, Observer, ResponseFuture},
};

/// Attempts begun, by type, service and method.
pub const STARTED: &str = "grpc_client_started_total";
/// Attempts ended, also by code; one the caller dropped is CANCELLED, or DEADLINE_EXCEEDED when its time was up.
pub const HANDLED: &str = "grpc_client_handled_total";
/// Seconds from the beginning of an attempt to the end of its answer.
pub const HANDLING_SECONDS: &str = "grpc_client_handling_seconds";
/// Messages read from servers.
pub const RECEIVED: &str = "grpc_client_msg_received_total";
/// Messages written to servers.
pub const SENT: &str = "grpc_client_msg_sent_total";
/// Attempts running now.
pub const IN_FLIGHT: &str = "grpc_client_in_flight";
/// Attempts after the first, by `grpc_target`.
pub const RETRIES: &str = "grpc_client_retries_total";
/// Addresses of a target, by `grpc_target` and `state` of their circuit breaker: closed, half_open, open.
pub const ENDPOINTS: &str = "grpc_client_breaker_endpoints";

const CLIENT: Names = Names {
    started: STARTED,
    handled: HANDLED,
    seconds: HANDLING_SECONDS,
    received: RECEIVED,
    sent: SENT,
    in_flight: IN_FLIGHT,
};

fn describe() {
    ::metrics::describe_counter!(STARTED, "attempts of calls begun");
    ::metrics::describe_counter!(HANDLED, "attempts of calls ended, by code");
    ::metrics::describe_histogram!(HANDLING_SECONDS, ::metrics::Unit::Seconds, "time of one attempt");
    ::metrics::describe_counter!(RECEIVED, "messages read from servers");
    ::metrics::describe_counter!(SENT, "messages written to servers");
    ::metrics::describe_gauge!(IN_FLIGHT, "attempts of calls running now");
    ::metrics::describe_counter!(RETRIES, "attempts after the first, by target");
    ::metrics::describe_gauge!(ENDPOINTS, "addresses of a target by the state of their circuit breaker");
}

/// The counter of a target's retries, at 0.
pub(super) fn retries(target: &str) -> Counter {
    let counter = ::metrics::counter!(RETRIES, "grpc_target" => target.to_owned());
    counter.increment(0);
    counter
}

/// How many addresses of a target have their breaker closed, half open and open, at 0.
pub(super) fn endpoints(target: &str) -> [Gauge; 3] {
    ["closed", "half_open", "open"].map(|state| {
        let gauge = ::metrics::gauge!(ENDPOINTS, "grpc_target" => target.to_owned(), "state" => state);
        // Not set: another channel to the same target may count in it.
        gauge.increment(0.0);
        gauge
    })
}

/// Adds [`Metrics`] to a stack.
#[derive(Clone, Debug)]
pub(super) struct MetricsLayer {
    methods: Arc<Methods>,
    series: Arc<[Series]>,
}

impl MetricsLayer {
    /// Registers every series of every method with the process's recorder, which has to be installed before.
    pub(super) fn new(methods: Arc<Methods>) -> Self {
        describe();
        let series = methods.all().iter().map(|method| Series::new(method, &CLIENT)).collect();
        Self { methods, series }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics { inner, layer: self.clone() }
    }
}

/// Counts and times the attempts that pass through it, whatever becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Metrics<S> {
    inner: S,
    layer: MetricsLayer,
}

impl<S, B, RB> Service<Request<B>> for Metrics<S>
where
    S: Service<Request<ReceivedBody<B>>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    RB: Body,
{
    type Response = Response<ObservedBody<RB, Attempt>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future, Attempt>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let outgoing = Outgoing::of(&request, &self.layer.methods);
        let series = &self.layer.series[outgoing.method_id().index()];
        series.started.increment(1);
        series.in_flight.increment(1.0);
        // The body that counts what is read from it: here it is read to be sent.
        let sent = series.sent.clone();
        let attempt = Attempt {
            outgoing,
            series: Arc::clone(&self.layer.series),
            started: Instant::now(),
            received: FrameReader::default(),
        };
        let request = request.map(|inner| ReceivedBody::new(inner, sent));
        ResponseFuture::new(self.inner.call(request), attempt)
    }
}

/// An attempt that has begun and not ended.
#[derive(Debug)]
pub(super) struct Attempt {
    outgoing: Arc<Outgoing>,
    series: Arc<[Series]>,
    started: Instant,
    received: FrameReader,
}

impl Observer for Attempt {
    fn sent(&mut self, chunk: &[u8]) {
        self.received.count(chunk, &self.series[self.outgoing.method_id().index()].received);
    }

    fn ended(&mut self, code: Code) {
        // Whoever waits for it drops it when its time is up.
        let late = self.outgoing.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let code = if late && code == Code::Cancelled { Code::DeadlineExceeded } else { code };
        let series = &self.series[self.outgoing.method_id().index()];
        series.end(code, self.started.elapsed(), self.outgoing.trace());
    }
}
