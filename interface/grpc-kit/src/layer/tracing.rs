//! A span per call, from its first poll to the last frame of the answer, joined to the caller's trace.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use http_body::Body;
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Span, field::Empty};

use crate::{
    call::Call,
    failure::Failure,
    methods::Methods,
    observe::{ObservedBody, Observer, ResponseFuture},
    trace_context::{SpanLink, TraceContext},
};

/// The target of call spans. Keep them from formatting subscribers, which pay for every field of every span on every
/// line, with `filter_fn(|m| m.is_event() || m.target() != SPAN_TARGET)`: they are for the exporter.
pub const SPAN_TARGET: &str = "grpc.call";

/// Adds [`Tracing`] to a stack.
#[derive(Clone)]
pub struct TracingLayer {
    methods: Arc<Methods>,
    link: Option<Arc<dyn SpanLink>>,
}

impl TracingLayer {
    /// Spans for these methods. Without a link spans stand alone, and the caller's context is only passed on.
    pub fn new(methods: Arc<Methods>, link: Option<Arc<dyn SpanLink>>) -> Self {
        Self { methods, link }
    }
}

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingLayer").field("linked", &self.link.is_some()).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TracingLayer {
    type Service = Tracing<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tracing { inner, layer: self.clone() }
    }
}

/// Runs calls inside a span that follows the OpenTelemetry conventions for RPC servers.
#[derive(Clone, Debug)]
pub struct Tracing<S> {
    inner: S,
    layer: TracingLayer,
}

impl TracingLayer {
    /// The fields are set at creation but for the outcome: recording later is what formatters pay most for.
    pub(super) fn begin(&self, call: &Call, headers: &HeaderMap) -> Outcome {
        let remote = TraceContext::from_headers(headers);
        let method = call.method();
        let span = tracing::info_span!(
            target: SPAN_TARGET,
            "grpc",
            otel.name = method.path.strip_prefix('/').unwrap_or(&method.path),
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = &*method.service,
            rpc.method = &*method.name,
            rpc.grpc.status_code = Empty,
            correlation_id = call.request_id(),
        );
        let context = match &self.link {
            Some(link) => link.link(&span, remote.as_ref()).or(remote),
            None => remote,
        };
        if let Some(context) = context {
            call.set_trace(context);
        }
        Outcome(span)
    }
}

impl<S, B, RB> Service<Request<B>> for Tracing<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<Failure>,
    RB: Body,
{
    type Response = Response<ObservedBody<RB, Outcome>>;
    type Error = Failure;
    type Future = ResponseFuture<S::Future, Outcome>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::enter(&mut request, &self.layer.methods);
        let outcome = self.layer.begin(&call, request.headers());
        let future = outcome.in_scope(|| self.inner.call(request));
        ResponseFuture::new(future, outcome)
    }
}

/// Writes the outcome into the span.
#[derive(Debug)]
pub struct Outcome(Span);

impl Outcome {
    /// Runs the first step of the call inside of the span.
    pub(super) fn in_scope<T>(&self, step: impl FnOnce() -> T) -> T {
        self.0.in_scope(step)
    }
}

impl Observer for Outcome {
    fn span(&self) -> Option<&Span> {
        Some(&self.0)
    }

    fn ended(&mut self, code: Code) {
        if self.0.is_disabled() {
            return;
        }
        self.0.record("rpc.grpc.status_code", code as i32);
        if is_servers_fault(code) {
            self.0.record("otel.status_code", "ERROR");
        }
    }
}

/// The codes that make a server span an error in the OpenTelemetry conventions; the others are the caller's affair.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use bytes::Bytes;
    use http_body_util::Empty as NoBody;
    use tower::{ServiceExt as _, service_fn};
    use tracing::{field::Visit, span};
    use tracing_subscriber::{
        layer::{Context as SubscriberContext, SubscriberExt as _},
        registry::Registry,
    };

    use super::*;
    use crate::failure::codes;

    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<Vec<(String, String)>>>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
            let entry = (field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
            self.0.lock().expect("no panic").push(entry);
        }
    }

    impl tracing_subscriber::Layer<Registry> for Fields {
        fn on_new_span(&self, new: &span::Attributes<'_>, _: &span::Id, _: SubscriberContext<'_, Registry>) {
            new.record(&mut self.clone());
        }
        fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: SubscriberContext<'_, Registry>) {
            values.record(&mut self.clone());
        }
        fn on_close(&self, _: span::Id, _: SubscriberContext<'_, Registry>) {
            self.0.lock().expect("no panic").push(("closed".to_owned(), String::new()));
        }
    }

    impl Fields {
        fn has(&self, name: &str, value: &str) -> bool {
            self.0.lock().expect("no panic").iter().any(|field| field.0 == name && field.1 == value)
        }
    }

    struct Answering(TraceContext);

    impl SpanLink for Answering {
        fn link(&self, _: &Span, remote: Option<&TraceContext>) -> Option<TraceContext> {
            assert_eq!(remote.expect("the caller's").span_id, 0x00f0_67aa_0ba9_02b7);
            Some(self.0.clone())
        }
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_span_covers_the_body_and_has_the_outcome() {
        let fields = Fields::default();
        let _guard = tracing::subscriber::set_default(Registry::default().with(fields.clone()));
        let service = service_fn(|_: Request<()>| {
            let status = tonic::Status::unavailable("no database");
            std::future::ready(Ok::<_, Infallible>(status.into_http::<NoBody<Bytes>>()))
        });
        let layer = TracingLayer::new(Arc::new(Methods::empty()), None);
        let request = Request::builder().uri("/a/b").body(()).expect("a request");
        let call = layer.layer(service).oneshot(request);
        let response = futures_util::FutureExt::now_or_never(call).expect("ready").expect("an answer");
        assert!(fields.has("otel.kind", "server") && fields.has("rpc.grpc.status_code", "14"));
        assert!(fields.has("otel.status_code", "ERROR"));
        assert!(!fields.has("closed", ""));
        drop(response);
        assert!(fields.has("closed", ""));
    }

    #[tokio::test]
    async fn the_call_carries_the_span_s_own_context() {
        let own = TraceContext { trace_id: 7, span_id: 8, sampled: true, state: None };
        let link: Arc<dyn SpanLink> = Arc::new(Answering(own.clone()));
        let service = service_fn(|request: Request<()>| async move {
            let call = request.extensions().get::<Arc<Call>>().expect("the call");
            let trace = call.trace().expect("a trace").clone();
            let mut response = Response::new(NoBody::<Bytes>::new());
            response.extensions_mut().insert(trace);
            Ok::<_, Infallible>(response)
        });
        let request = Request::builder().header("traceparent", PARENT).body(()).expect("a request");
        let layer = TracingLayer::new(Arc::new(Methods::empty()), Some(link));
        let response = layer.layer(service).oneshot(request).await.expect("an answer");
        assert_eq!(response.extensions().get::<TraceContext>(), Some(&own));
    }

    #[test]
    fn the_callers_mistakes_are_no_errors() {
        assert!(!is_servers_fault(Code::InvalidArgument) && is_servers_fault(Code::Internal));
        assert_eq!(codes::all().filter(|code| is_servers_fault(*code)).count(), 6);
    }
}
