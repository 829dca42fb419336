//! A span for each HTTP request.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use hive_grpc_kit::trace_context::TraceContext;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::traces::{HTTP_TARGET, ORCHESTRATOR, TICKET_SERVICE, context_of, join};

/// Puts a span around every route.
pub(crate) fn traced(routes: Router) -> Router {
    routes.layer(from_fn(trace))
}

async fn trace(mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(route) = matched.filter(|route| route.starts_with("/api/")) else {
        // Probes and scrapes are nobody's work.
        return next.run(request).await;
    };
    let of_plans = route.starts_with("/api/v1/workflows") || route.starts_with("/api/v1/tickets/by-plan");
    let method = request.method().as_str();
    let span = tracing::info_span!(
        target: HTTP_TARGET,
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        hive.service = if of_plans { ORCHESTRATOR } else { TICKET_SERVICE },
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    if let Some(remote) = TraceContext::from_headers(request.headers()) {
        join(&span, &remote);
    }
    if let Some(own) = context_of(&span) {
        // What follows from the request belongs to its span, not to the caller's.
        own.write(request.headers_mut());
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}
