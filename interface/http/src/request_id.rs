//! Every request has an id: its own, or one made for it; the response carries it back.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hive_application::ids::IdGenerator;
use http::HeaderName;
use http::header::HeaderValue;
use tracing::Instrument;

/// The header that carries the id.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes an id of a caller may have.
const MAX_BYTES: usize = 128;

/// The id of a request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives the request an id and the response the same one.
pub(crate) async fn give(
    State(ids): State<Arc<dyn IdGenerator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request.headers().get(HEADER).and_then(acceptable).unwrap_or_else(|| ids.uuid());
    let value = HeaderValue::from_str(&id).ok();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::info_span!("http_request", request.id = id, http.method = %request.method(), http.route = route);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).instrument(span).await;
    if let Some(value) = value {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// An id that may be echoed and logged: short, printable ASCII without spaces.
fn acceptable(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let fits = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}
