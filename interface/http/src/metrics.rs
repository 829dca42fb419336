//! `/metrics`: what there is to measure, as text; and how the requests themselves are measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::router::Slashes;

/// Every metric there is, for whoever sends this `Accept` header: the media type, and the text.
pub type Scrape = Arc<dyn Fn(&str) -> (&'static str, String) + Send + Sync>;

/// Is told about every request. Must not block.
pub trait HttpMetrics: Send + Sync {
    /// A request was answered after `took`. `endpoint` is the pattern of its path, or [`UNMATCHED`]: `api_requests_total`
    /// by all three labels, `api_request_duration_seconds`, and `api_errors_total` by endpoint for statuses from 400 on.
    fn answered(&self, method: &'static str, endpoint: &str, status: u16, took: Duration);
}

/// Measures nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unmeasured;

impl HttpMetrics for Unmeasured {
    fn answered(&self, _method: &'static str, _endpoint: &str, _status: u16, _took: Duration) {}
}

/// The endpoint of requests whose path nobody serves.
pub const UNMATCHED: &str = "unmatched";

/// The status recorded for a request whose caller went away before the answer.
const CALLER_GONE: u16 = 499;

pub(crate) fn routes(scrape: Scrape) -> Router {
    Router::new().both("/metrics", get(text)).with_state(scrape)
}

async fn text(State(scrape): State<Scrape>, headers: HeaderMap) -> Response {
    let wanted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (media_type, text) = scrape(wanted);
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response()
}

/// Measures a request, one that its caller abandons included.
pub(crate) async fn measure(
    State(metrics): State<Arc<dyn HttpMetrics>>,
    request: Request,
    next: Next,
) -> Response {
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let mut record = Record {
        metrics,
        method: method(request.method()),
        endpoint,
        status: CALLER_GONE,
        began: Instant::now(),
    };
    let response = next.run(request).await;
    record.status = response.status().as_u16();
    response
}

/// Tells the metrics when it is dropped.
struct Record {
    metrics: Arc<dyn HttpMetrics>,
    method: &'static str,
    endpoint: Option<MatchedPath>,
    status: u16,
    began: Instant,
}

impl Drop for Record {
    fn drop(&mut self) {
        let path = self.endpoint.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let endpoint = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.metrics.answered(self.method, endpoint, self.status, self.began.elapsed());
    }
}

/// The method as a label: callers cannot invent new ones.
fn method(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().zip(NAMES).find(|(known, _)| *known == method).map_or("OTHER", |(_, name)| name)
}

/// Whether a status counts as an error in `api_errors_total`.
pub fn is_error(status: u16) -> bool {
    status >= StatusCode::BAD_REQUEST.as_u16()
}
