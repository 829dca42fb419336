//! `/health`: the process lives. `/ready`: everything it needs answers. `/grpc-health`: its gRPC server serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;

use crate::router::Slashes;

/// Whether something the service needs answers. Asked on every probe: cheap, bounded in time, never a table scan.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Whether it answers now.
    async fn is_ready(&self) -> bool;
}

/// A flag kept elsewhere.
#[async_trait]
impl<F: Fn() -> bool + Send + Sync> Readiness for F {
    async fn is_ready(&self) -> bool {
        self()
    }
}

/// What `/health` and `/ready` tell.
#[derive(Clone)]
pub struct Health {
    service: Arc<str>,
    version: Arc<str>,
    checks: Arc<[(String, Arc<dyn Readiness>)]>,
    grpc: Option<Grpc>,
}

/// The gRPC server beside the routes, as `/grpc-health` tells of it.
#[derive(Clone)]
struct Grpc {
    port: u16,
    is_serving: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Health {
    /// The service by its name and version, with what it needs, each under the name that `/ready` shows.
    pub fn new(
        service: &str,
        version: &str,
        checks: impl IntoIterator<Item = (String, Arc<dyn Readiness>)>,
    ) -> Self {
        Health {
            service: service.into(),
            version: version.into(),
            checks: checks.into_iter().collect(),
            grpc: None,
        }
    }

    /// With `/grpc-health`, which tells of the gRPC server on `port`.
    #[must_use]
    pub fn with_grpc(self, port: u16, is_serving: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Health { grpc: Some(Grpc { port, is_serving }), ..self }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Health")
            .field("service", &self.service)
            .field("checks", &names)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Alive<'a> {
    status: &'static str,
    service: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct GrpcHealth {
    status: &'static str,
    grpc_port: u16,
    grpc_server_running: bool,
    health_servicer_registered: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    status: &'static str,
    checks: BTreeMap<&'a str, bool>,
}

pub(crate) fn routes(health: Health) -> Router {
    let routes = Router::new().both("/health", get(alive)).both("/ready", get(ready));
    let routes = match health.grpc.clone() {
        Some(beside) => routes.both("/grpc-health", get(move || std::future::ready(grpc(&beside)))),
        None => routes,
    };
    routes.with_state(health)
}

fn grpc(beside: &Grpc) -> Response {
    let running = (beside.is_serving)();
    let (code, status) =
        if running { (StatusCode::OK, "healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "unhealthy") };
    let health = GrpcHealth {
        status,
        grpc_port: beside.port,
        grpc_server_running: running,
        health_servicer_registered: true,
    };
    (code, axum::Json(health)).into_response()
}

async fn alive(State(health): State<Health>) -> Response {
    axum::Json(Alive { status: "healthy", service: &health.service, version: &health.version })
        .into_response()
}

async fn ready(State(health): State<Health>) -> Response {
    let answers = join_all(health.checks.iter().map(|(_, check)| check.is_ready())).await;
    let ready = answers.iter().all(|answer| *answer);
    let checks = health.checks.iter().map(|(name, _)| name.as_str()).zip(answers).collect();
    let (code, status) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    (code, axum::Json(Ready { status, checks })).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::testing::{json, send};

    #[tokio::test]
    async fn readiness_follows_what_is_needed_and_health_does_not() {
        let up = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&up);
        let check: Arc<dyn Readiness> = Arc::new(move || seen.load(Ordering::Relaxed));
        let other: Arc<dyn Readiness> = Arc::new(|| true);
        let health = Health::new("s", "1.0", [("db".to_owned(), check), ("log".to_owned(), other)]);
        let app = routes(health);

        let response = send(&app, "GET", "/ready", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(json(response).await.to_string(), r#"{"checks":{"db":true,"log":true},"status":"ready"}"#);

        up.store(false, Ordering::Relaxed);
        let response = send(&app, "GET", "/ready/", None).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = json(response).await;
        assert_eq!((&body["status"], &body["checks"]["db"]), (&"not_ready".into(), &false.into()));

        let response = send(&app, "GET", "/health", None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(json(response).await.to_string(), r#"{"service":"s","status":"healthy","version":"1.0"}"#);
    }
}
