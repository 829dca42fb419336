//! The recorder of the process: recorded through the `metrics` facade, shown in the Prometheus text format or OpenMetrics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hive_application::clock::Clock as _;
use hive_application::error::Error;
use hive_application::orchestration::{FlowObserver, Progress};
use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::Flow;
use hive_grpc_kit::openmetrics;
use hive_http::metrics::{HttpMetrics, is_error};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, counter,
    describe_counter, describe_gauge, describe_histogram, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::clock::SystemClock;
use crate::exit::Failure;
use crate::telemetry::families::{self, Family, Kind};
use crate::telemetry::flows::Flows;
use crate::telemetry::series::Series;

/// The recorder of the process, and what is recorded by it directly.
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    flows: Flows,
    requests: Mutex<HashMap<Route, Request>>,
}

type Route = (&'static str, String, u16);

/// The series of one kind of request.
#[derive(Clone)]
struct Request {
    count: Counter,
    seconds: Histogram,
    errors: Option<Counter>,
}

impl Metrics {
    /// Records from now on. Once a process. Every family is there from then on.
    pub(crate) fn install() -> Result<Self, Failure> {
        let mut builder = PrometheusBuilder::new();
        for family in families::all() {
            if let Kind::Histogram(buckets) = family.kind {
                let matcher = Matcher::Full(family.name.to_owned());
                builder = builder.set_buckets_for_metric(matcher, buckets).map_err(defect)?;
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let recorder = Bounded::start(recorder, handle.clone())
            .map_err(|error| Failure::Usage(format!("threads cannot be started: {error}")))?;
        metrics::set_global_recorder(recorder).map_err(defect)?;
        families::all().for_each(make);
        Ok(Metrics { handle, flows: Flows::new(), requests: Mutex::default() })
    }

    /// Everything there is, for whoever sends this `Accept` header: the media type, and the text.
    pub(crate) fn render(&self, accept: &str) -> (&'static str, String) {
        self.flows.look(SystemClock.now());
        openmetrics::answer(accept, self.handle.render())
    }

    fn request(&self, route: Route) -> Request {
        // The map only grows, by whole entries, so a panic elsewhere leaves it usable.
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = requests.get(&route) {
            return known.clone();
        }
        let (method, endpoint, status) = route.clone();
        let errors = is_error(status).then(|| counter!("api_errors_total", "endpoint" => endpoint.clone()));
        let seconds =
            histogram!("api_request_duration_seconds", "method" => method, "endpoint" => endpoint.clone());
        let status = status.to_string();
        let count = counter!("api_requests_total", "method" => method, "endpoint" => endpoint, "status_code" => status);
        requests.entry(route).or_insert(Request { count, seconds, errors }).clone()
    }
}

fn defect(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Defect(Error::internal(error))
}

/// Names a family, and makes its series that are known.
fn make(family: &Family) {
    match family.kind {
        Kind::Counter => {
            describe_counter!(family.name, family.help);
            Series::<Counter>::all(family);
        }
        Kind::Gauge => {
            describe_gauge!(family.name, family.help);
            Series::<Gauge>::all(family);
        }
        Kind::Histogram(_) => {
            describe_histogram!(family.name, family.help);
            Series::<Histogram>::all(family);
        }
    }
    if family.name == "service_info" {
        Series::<Gauge>::all(family).first().set(1.0);
    }
}

impl HttpMetrics for Metrics {
    fn answered(&self, method: &'static str, endpoint: &str, status: u16, took: Duration) {
        let request = self.request((method, endpoint.to_owned(), status));
        request.count.increment(1);
        request.seconds.record(took.as_secs_f64());
        if let Some(errors) = request.errors {
            errors.increment(1);
        }
    }
}

impl FlowObserver for Metrics {
    fn observe(&self, flow: &Flow, progress: Progress<'_>) {
        self.flows.observe(flow, progress);
    }

    fn stopped(&self, workflow_id: &WorkflowId) {
        self.flows.stopped(workflow_id);
    }

    fn opened(&self, flow: &Flow, span: &tracing::Span) {
        self.flows.opened(flow, span);
    }

    fn agents_were_known(&self) {
        self.flows.agents_were_known();
    }
}

/// Recorded values that may wait to be put into their buckets.
const WAITING: u32 = 1 << 16;

/// Keeps the memory of histograms bounded. The exporter collects recorded values until somebody looks; when many wait and
/// nobody looked, a thread is woken to put them into their buckets. It sleeps otherwise: idle, nothing ticks.
struct Bounded {
    recorder: PrometheusRecorder,
    full: Arc<Full>,
}

struct Full {
    waiting: AtomicU32,
    wake: SyncSender<()>,
}

struct Counted {
    histogram: Histogram,
    full: Arc<Full>,
}

impl Bounded {
    fn start(recorder: PrometheusRecorder, handle: PrometheusHandle) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        std::thread::Builder::new().name("hive-metrics".to_owned()).spawn(move || {
            while woken.recv().is_ok() {
                handle.run_upkeep();
            }
        })?;
        Ok(Bounded { recorder, full: Arc::new(Full { waiting: AtomicU32::new(0), wake }) })
    }
}

impl HistogramFn for Counted {
    fn record(&self, value: f64) {
        self.histogram.record(value);
        if self.full.waiting.fetch_add(1, Ordering::Relaxed) + 1 == WAITING {
            self.full.waiting.store(0, Ordering::Relaxed);
            // A full channel means that the thread is about to look anyway.
            let _ = self.full.wake.try_send(());
        }
    }
}

impl Recorder for Bounded {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.recorder.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.recorder.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        let histogram = self.recorder.register_histogram(key, metadata);
        Histogram::from_arc(Arc::new(Counted { histogram, full: Arc::clone(&self.full) }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn values_nobody_looks_at_are_put_into_their_buckets() {
        let recorder = PrometheusBuilder::new().set_buckets(&[1.0]).unwrap().build_recorder();
        let handle = recorder.handle();
        let bounded = Bounded::start(recorder, handle).unwrap();
        let full = Arc::clone(&bounded.full);
        let histogram = metrics::with_local_recorder(&bounded, || histogram!("seconds"));
        (1..WAITING).for_each(|_| histogram.record(0.5));
        assert_eq!(full.waiting.load(Ordering::Relaxed), WAITING - 1);
        histogram.record(0.5);
        assert_eq!(full.waiting.load(Ordering::Relaxed), 0);
        let (wake, begun) = (&full.wake, Instant::now());
        // The thread took what was sent once there is room again.
        while wake.try_send(()).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
    }
}
