//! The layers around a servicer, outermost first, in the one function that decides their order.

use std::sync::Arc;

use tower::{Layer as _, ServiceBuilder};

use super::config::{AuthMode, Config, some_millis};
use crate::{
    access_log::AccessLog,
    auth::Verifier,
    health,
    layer::{
        admission::{Admission, AdmissionLayer},
        auth::{AccessRules, Auth, AuthLayer},
        catch_panic::{CatchPanic, CatchPanicLayer},
        deadline::{Deadline, DeadlineLayer},
        error::{Error, ErrorLayer},
        logging::LoggingLayer,
        message_limit::{MessageLimit, MessageLimitLayer},
        metrics::{Metrics, MetricsLayer},
        observe::{Observe, ObserveLayer},
        rate_limit::{RateLimit, RateLimitLayer},
        request_id::{RequestId, RequestIdLayer},
        tracing::TracingLayer,
    },
    methods::Methods,
    trace_context::SpanLink,
};

/// The servicer's layers. The type is the order, outermost first.
pub type Stack<S> =
    RequestId<Error<Observe<Admission<Deadline<Auth<RateLimit<CatchPanic<MessageLimit<S>>>>>>>>>;

/// The layers of health and reflection: seen, but never refused because the server is full.
pub type OperationsStack<S> = RequestId<Error<Metrics<Deadline<Auth<CatchPanic<MessageLimit<S>>>>>>>;

/// What the layers need besides the settings.
#[derive(Clone, Default)]
pub struct Parts {
    /// Where calls are logged.
    pub access_log: Option<AccessLog>,
    /// Joins spans to the tracing system.
    pub span_link: Option<Arc<dyn SpanLink>>,
    /// Verifies tokens.
    pub verifier: Option<Arc<Verifier>>,
    /// Which methods are public, and which need scopes.
    pub access: AccessRules,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Puts the layers around a servicer.
pub fn stack<S>(
    config: &Config,
    mode: AuthMode,
    methods: &Arc<Methods>,
    metrics: MetricsLayer,
    parts: Parts,
    servicer: S,
) -> Stack<S> {
    let low_methods = &config.limits.low_priority_methods;
    let (rate, burst) = config.rate();
    let methods = || Arc::clone(methods);
    ServiceBuilder::new()
        // Outermost: every answer, refusals included, carries the id, and the clock of the call starts here.
        .layer(RequestIdLayer::new(methods()))
        // Above all that refuses, so that every refusal is rendered; below the id, which it writes into the status.
        .layer(ErrorLayer::new(methods()))
        // Three that look, at the price of one.
        .layer(ObserveLayer::new(
            methods(),
            (
                // Above all that refuses, so that refusals are counted; below the rendering, so that it sees their kind.
                metrics,
                // Above the logging, which writes the trace's id; below the metrics, whose time it is part of.
                TracingLayer::new(methods(), parts.span_link),
                // Above admission and auth: a refused call is logged like any other.
                LoggingLayer::new(methods(), parts.access_log, config.logging.success_sample),
            ),
        ))
        // Before anything that costs: a full server sheds at the price of one atomic. Sheds outside, limits inside.
        .layer(AdmissionLayer::new(methods(), config.places(), low_methods))
        // Inside admission, so that a call whose time is up gives its place back; around all work, token checks included.
        .layer(DeadlineLayer::new(
            methods(),
            some_millis(config.deadline.default_ms),
            some_millis(config.deadline.max_ms),
        ))
        // Before the rate limit, which counts by who calls.
        .layer(AuthLayer::new(methods(), mode, parts.verifier, &parts.access))
        // The last refusal: only calls that would be served use up an allowance.
        .layer(RateLimitLayer::new(methods(), rate, burst))
        // Directly around the servicer: a panic becomes a failure that all layers above see as one.
        .layer(CatchPanicLayer)
        // Innermost: messages are read and written by the servicer alone.
        .layer(MessageLimitLayer::new(config.max_message_size))
        .service(servicer)
}

/// Puts the fewer layers around health and reflection: probes must get through when the server is full. They need no
/// token, and reflection as its mode says.
pub fn operations_stack<S>(
    config: &Config,
    (reflection, verifier): (AuthMode, Option<Arc<Verifier>>),
    methods: &Arc<Methods>,
    metrics: MetricsLayer,
    servicer: S,
) -> OperationsStack<S> {
    let access = AccessRules { public: vec![format!("{}/*", health::SERVICE)], ..AccessRules::default() };
    let limited = MessageLimitLayer::new(config.max_message_size).layer(servicer);
    ServiceBuilder::new()
        .layer(RequestIdLayer::new(Arc::clone(methods)))
        .layer(ErrorLayer::new(Arc::clone(methods)))
        .layer(metrics)
        // For half-sent probes: watches and reflection last as long as their caller says.
        .layer(DeadlineLayer::new(Arc::clone(methods), None, some_millis(config.deadline.max_ms)))
        // A contract says what there is to attack.
        .layer(AuthLayer::new(Arc::clone(methods), reflection, verifier, &access))
        .layer(CatchPanicLayer)
        .service(limited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::observe::Observers;

    /// The layers of a stack type, outermost first.
    fn order<T>() -> Vec<&'static str> {
        let name = std::any::type_name::<T>();
        let parts = name.split(['<', ',']).map(|part| part.trim_matches(['(', ')', '>', ' ']));
        parts.map(|part| part.rsplit("::").next().unwrap_or(part)).collect()
    }

    #[test]
    fn the_order_is_the_documented_one() {
        #[rustfmt::skip]
        let documented = [
            "RequestId", "Error", "Observe", "Admission", "Deadline", "Auth", "RateLimit", "CatchPanic",
            "MessageLimit",
        ];
        assert_eq!(order::<Observers>(), ["MetricsLayer", "TracingLayer", "LoggingLayer"]);
        let order = order::<Stack<()>>();
        assert_eq!(order[..documented.len()], documented);
        assert_eq!(order.len(), documented.len() + 1);
    }

    #[test]
    fn health_and_reflection_meet_no_layer_that_sheds() {
        let order = order::<OperationsStack<()>>();
        assert!(!order.iter().any(|layer| ["Admission", "RateLimit"].contains(layer)));
    }
}
