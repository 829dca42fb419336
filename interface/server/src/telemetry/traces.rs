//! Traces, exported by OTLP over gRPC. Off unless an address is set: then no span is made anywhere.
//!
//! Spans are made with `tracing`; only those below [`TARGET`], and those of calls, are exported. Each role is a service of
//! its own in the export, also where several share the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hive_application::orchestration::SPAN_TARGET as ORCHESTRATION;
use hive_application::registry::SPAN_TARGET as REGISTRY;
use hive_grpc_kit::layer::tracing::SPAN_TARGET as GRPC_TARGET;
use hive_grpc_kit::trace_context::{SpanLink, TraceContext};
use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value, global};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use tokio::runtime::Runtime;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;

use crate::logging::Teller;
use crate::roles::{Role, Roles};
use crate::settings::{Environment, Settings};

/// The target of the spans of the ticket context, made here.
pub(super) const TICKETS: &str = "hive.span.tickets";
/// The target of spans of HTTP requests.
pub(super) const HTTP_TARGET: &str = "hive.span.http";
/// How the target of every span of ours begins, but for those of gRPC calls.
const TARGET: &str = "hive.span.";
/// The attribute that tells the target of a span.
const TARGET_ATTRIBUTE: &str = "target";
/// The attribute that tells the service a span belongs to, where its target does not.
pub(super) const SERVICE_ATTRIBUTE: &str = "hive.service";

/// Spans that may wait for the exporter; more are dropped.
const QUEUE: usize = 2_048;
/// Spans of one export.
const BATCH: usize = 512;
/// How long spans wait for others to be exported with.
const DELAY: Duration = Duration::from_secs(5);
/// How long one export may take.
const EXPORT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last export.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// The services that the roles are known as, and those that work for them.
const SERVICES: [&str; 4] = [ORCHESTRATOR, TICKET_SERVICE, SERVICE_REGISTRY, AGENT];
pub(super) const ORCHESTRATOR: &str = Role::Orchestration.service();
pub(super) const TICKET_SERVICE: &str = Role::Tickets.service();
const SERVICE_REGISTRY: &str = Role::Registry.service();
pub(super) const AGENT: &str = Role::Agent.service();

/// The export of this process. Dropping it exports what waits, as far as somebody takes it in time.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    /// Carries the exporter's connections: they must outlive whatever the process does, and disturb nothing.
    runtime: Option<Runtime>,
}

impl Traces {
    /// Starts exporting, if the settings name an address.
    pub(crate) fn start(
        settings: &Settings,
        roles: &Roles,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let Some(endpoint) = settings.otel_exporter_endpoint.as_ref().filter(|_| settings.otel_enabled)
        else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("hive-traces")
            .enable_all()
            .build()?;
        let exporter = {
            let _within = runtime.enter();
            ByService::new(endpoint, Named::of(settings, roles))?
        };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let rate = Sampler::TraceIdRatioBased(settings.otel_sampling_rate);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(rate)))
            .with_resource(resource(settings.environment))
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Some(Traces { provider, runtime: Some(runtime) }))
    }

    /// What turns spans into those of the export.
    pub(crate) fn layer(&self) -> Teller {
        let ours = |target: &str| target == GRPC_TARGET || target.starts_with(TARGET);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("hive"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(move |of| of.is_span() && ours(of.target())))
            .boxed()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_EXPORT) {
            tracing::warn!(%error, "the last spans were not exported");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What all services of the process have in common.
fn resource(environment: Environment) -> Resource {
    let environment = match environment {
        Environment::Development => "development",
        Environment::Staging => "staging",
        Environment::Production => "production",
    };
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
            KeyValue::new("deployment.environment", environment),
            KeyValue::new("neural.hive.layer", "orchestration"),
        ])
        .build()
}

/// The only service of the process, where it was given another name.
#[derive(Debug)]
struct Named {
    service: &'static str,
    name: String,
}

impl Named {
    fn of(settings: &Settings, roles: &Roles) -> Option<Self> {
        let name = settings.flat.service(roles)?.to_owned();
        Some(Named { service: roles.service(), name })
    }
}

/// Exports each span as one of its service.
#[derive(Debug)]
struct ByService {
    exporters: Vec<(&'static str, OtlpExporter)>,
    named: Option<Named>,
    /// The last export failed, which is told once.
    failing: AtomicBool,
}

impl ByService {
    fn new(endpoint: &str, named: Option<Named>) -> Result<Self, ExporterBuildError> {
        let exporter = |service| {
            let exporter = OtlpExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT);
            // Whom the system trusts; the exporter by itself trusts nobody.
            let exporter = match endpoint.starts_with("https://") {
                true => exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots()),
                false => exporter,
            };
            Ok((service, exporter.build()?))
        };
        let exporters = SERVICES.into_iter().map(exporter).collect::<Result<_, ExporterBuildError>>()?;
        Ok(ByService { exporters, named, failing: AtomicBool::new(false) })
    }
}

impl SpanExporter for ByService {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let mut outcome = Ok(());
        for (service, exporter) in &self.exporters {
            let (own, others) = batch.into_iter().partition(|span| service_of(span) == *service);
            batch = others;
            let own: Vec<SpanData> = own;
            if !own.is_empty() {
                outcome = exporter.export(own).await.and(outcome);
            }
        }
        let failed = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !failed => {
                tracing::warn!(%error, "spans are not exported; those that wait too long are dropped");
            }
            Ok(()) if failed => tracing::info!("spans are exported again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let ends = self.exporters.iter().map(|(_, exporter)| exporter.shutdown_with_timeout(timeout));
        ends.fold(Ok(()), Result::and)
    }

    fn set_resource(&mut self, resource: &Resource) {
        for (service, exporter) in &mut self.exporters {
            let shared = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
            let own = [KeyValue::new("neural.hive.component", *service)];
            let builder = Resource::builder_empty().with_attributes(shared).with_attributes(own);
            let named = self.named.as_ref().filter(|named| named.service == *service);
            let name = named.map_or(*service, |named| named.name.as_str()).to_owned();
            exporter.set_resource(&builder.with_service_name(name).build());
        }
    }
}

/// The service a span belongs to.
fn service_of(span: &SpanData) -> &'static str {
    let attribute = |name: &str| {
        let found = span.attributes.iter().find(|pair| pair.key.as_str() == name);
        match found.map(|pair| &pair.value) {
            Some(Value::String(text)) => text.as_str(),
            _ => "",
        }
    };
    if let Some(service) = SERVICES.into_iter().find(|service| *service == attribute(SERVICE_ATTRIBUTE)) {
        return service;
    }
    let called = attribute("rpc.service");
    match attribute(TARGET_ATTRIBUTE) {
        ORCHESTRATION => ORCHESTRATOR,
        REGISTRY => SERVICE_REGISTRY,
        GRPC_TARGET if called.contains("registry") => SERVICE_REGISTRY,
        GRPC_TARGET if called.contains("orchestration") => ORCHESTRATOR,
        _ => TICKET_SERVICE,
    }
}

/// Joins the spans of calls to the traces of their callers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link;

impl SpanLink for Link {
    fn link(&self, span: &Span, remote: Option<&TraceContext>) -> Option<TraceContext> {
        if let Some(remote) = remote {
            join(span, remote);
        }
        context_of(span)
    }
}

/// The link for servers.
pub(crate) fn link() -> Arc<dyn SpanLink> {
    Arc::new(Link)
}

/// Makes `remote` the parent of a span that has not begun.
pub(super) fn join(span: &Span, remote: &TraceContext) {
    // A span that is not exported has no use for a parent.
    let _ = span.set_parent(remote_context(remote));
}

/// A trace that came from elsewhere, as something to work under.
pub(super) fn remote_context(remote: &TraceContext) -> Context {
    let state = remote.state.as_ref().and_then(|state| state.to_str().ok()?.parse::<TraceState>().ok());
    let flags = if remote.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace_id, span_id) = (remote.trace_id.to_be_bytes(), remote.span_id.to_be_bytes());
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    let context = SpanContext::new(trace_id, span_id, flags, true, state.unwrap_or_default());
    Context::new().with_remote_span_context(context)
}

/// Where a span stands, if it is part of a trace.
pub(super) fn context_of(span: &Span) -> Option<TraceContext> {
    trace_context(&span.context())
}

/// Has a call to another process continue the trace of the work it is made for, if that is exported.
pub(crate) fn inject(headers: &mut HeaderMap) {
    if let Some(trace) = trace_context(&Context::current()) {
        trace.write(headers);
    }
}

fn trace_context(context: &Context) -> Option<TraceContext> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        sampled: context.is_sampled(),
        state: HeaderValue::from_str(&context.trace_state().header()).ok().filter(|text| !text.is_empty()),
    })
}

/// A trace as tickets and decisions carry it: 32 and 16 hexadecimal digits.
pub(super) fn stored(trace_id: Option<&str>, span_id: Option<&str>) -> Option<TraceContext> {
    let (trace_id, span_id) = (trace_id?, span_id?);
    if trace_id.len() != 32 || span_id.len() != 16 {
        return None;
    }
    let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
    let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
    Some(TraceContext { trace_id, span_id, sampled: true, state: None })
}
