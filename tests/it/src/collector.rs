//! A collector of traces: takes spans by OTLP over gRPC and remembers them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};
use tower::ServiceExt as _;

use crate::certificates::Authority;

type Incoming = hyper::Request<hyper::body::Incoming>;

/// A span as it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace_id: String,
    /// Itself, in hexadecimal.
    pub span_id: String,
    /// Its parent, in hexadecimal; empty for the first of a trace.
    pub parent: String,
    /// What else it says: texts and numbers.
    pub attributes: Vec<(String, String)>,
}

impl Span {
    /// An attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Takes spans for as long as the runtime lives in which it was started.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::accept(None).await
    }

    /// Starts on a free port and speaks TLS, with the certificate `NAME.pem` of an authority.
    pub async fn start_tls(authority: &Authority, name: &str) -> Self {
        Self::accept(Some(authority.acceptor(name))).await
    }

    async fn accept(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let collector = Collector { address, scheme, spans: Arc::default() };
        let server = TraceServiceServer::new(collector.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(server, stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(server, stream).await;
                            }
                        }
                    }
                });
            }
        });
        collector
    }

    /// Where it takes them.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Those taken so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("no panic").clone()
    }
}

/// Answers on one connection until it ends.
async fn serve(
    server: TraceServiceServer<Collector>,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let answer = service_fn(move |request: Incoming| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(server.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    // However it ends, the spans that came are there.
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), answer).await;
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_service in request.into_inner().resource_spans {
            let resource = pairs(of_service.resource.unwrap_or_default().attributes);
            let service = resource.into_iter().find(|(key, _)| key == "service.name");
            let service = service.map(|(_, name)| name).unwrap_or_default();
            let taken = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Span {
                service: service.clone(),
                name: span.name,
                trace_id: hexadecimal(&span.trace_id),
                span_id: hexadecimal(&span.span_id),
                parent: hexadecimal(&span.parent_span_id),
                attributes: pairs(span.attributes),
            });
            self.spans.lock().expect("no panic").extend(taken);
        }
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

fn pairs(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
