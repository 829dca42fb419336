//! For each bucket of a method's seconds, the last call of a recorded trace that fell into it: from a slow bucket in a
//! graph, the way to a slow call. Read when [OpenMetrics](crate::openmetrics) are asked for, which alone have a place
//! for it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{layer::metrics::BUCKETS, methods::Method, trace_context::TraceContext};

/// A call, as an exemplar of its bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: u128,
    pub(crate) seconds: f64,
    /// When the call ended, since 1970. The same in every scrape: another time would be another exemplar.
    pub(crate) ended: Duration,
}

/// One for each bucket of a series, the one without an upper bound included.
type Slots = [Option<Exemplar>; BUCKETS.len() + 1];

/// Those of one series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(Mutex<Slots>);

/// The name of a family, a service and a method.
type Key = (&'static str, Box<str>, Box<str>);

/// All there are in the process, as the recorder is one for the process. Only what descriptors declare gets here.
static KNOWN: LazyLock<Mutex<HashMap<Key, Arc<Exemplars>>>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, HashMap<Key, Arc<Exemplars>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exemplars {
    /// Those of a method's series in this family: always the same ones, as the recorder's series are.
    pub(crate) fn of(family: &'static str, method: &Method) -> Arc<Self> {
        let key = (family, method.service.clone(), method.name.clone());
        Arc::clone(known().entry(key).or_default())
    }

    /// Those of a series, if it has any.
    pub(crate) fn find(family: &str, service: &str, method: &str) -> Option<Arc<Self>> {
        let known = known();
        let found = known.iter().find(|((of_family, of_service, of_method), _)| {
            *of_family == family && **of_service == *service && **of_method == *method
        });
        found.map(|(_, exemplars)| Arc::clone(exemplars))
    }

    /// Keeps a call that ends now and took this long, if its trace is recorded: nobody finds another.
    pub(crate) fn keep(&self, trace: Option<&TraceContext>, took: Duration) {
        let Some(trace) = trace.filter(|trace| trace.sampled) else { return };
        let seconds = took.as_secs_f64();
        // Another call is just kept, or all are read: one is as good as the other, and nobody waits.
        if let Ok(mut slots) = self.0.try_lock() {
            let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
            let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            slots[bucket] = Some(Exemplar { trace_id: trace.trace_id, seconds, ended });
        }
    }

    /// The latest of those above one bound and up to another, whatever buckets the exporter was given.
    pub(crate) fn latest(&self, above: f64, up_to: f64) -> Option<Exemplar> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = slots.iter().flatten().filter(|kept| above < kept.seconds && kept.seconds <= up_to);
        within.max_by_key(|kept| kept.ended).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(trace_id: u128, sampled: bool) -> TraceContext {
        TraceContext { trace_id, span_id: 1, sampled, state: None }
    }

    #[test]
    fn each_bucket_keeps_its_last_recorded_call() {
        let exemplars = Exemplars::default();
        for (trace_id, sampled, millis) in
            [(1, true, 5), (2, true, 6), (3, true, 7), (4, false, 8), (5, true, 60_000)]
        {
            exemplars.keep(Some(&trace(trace_id, sampled)), Duration::from_millis(millis));
        }
        exemplars.keep(None, Duration::from_millis(9));
        let latest = |above, up_to| exemplars.latest(above, up_to).map(|kept| kept.trace_id);
        assert_eq!(latest(f64::NEG_INFINITY, 0.005), Some(1));
        assert_eq!((latest(0.005, 0.01), latest(0.01, 10.0)), (Some(3), None));
        assert_eq!(latest(10.0, f64::INFINITY), Some(5));
        // As when the exporter has other buckets, or none.
        assert_eq!((latest(0.0, 1.0), latest(0.0, f64::INFINITY)), (Some(3), Some(5)));
        let ended = exemplars.latest(0.005, 0.01).expect("kept").ended;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        assert!(ended.abs_diff(now) < Duration::from_secs(60), "{ended:?} {now:?}");
    }
}
