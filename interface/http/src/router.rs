//! The application: the routes of the roles served, and what every request passes on its way to them.
//!
//! | role | routes |
//! | --- | --- |
//! | [`tickets`] | `/api/v1/tickets…` |
//! | [`orchestration`] | `/api/v1/workflows…`, `/api/v1/tickets/by-plan/{plan_id}` |
//! | every one | `/health`, `/ready`, `/metrics` |

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use futures_util::FutureExt;
use hive_application::ids::IdGenerator;

use crate::health::{self, Health};
use crate::metrics::{self, HttpMetrics, Scrape};
use crate::problem::Problem;
use crate::request_id;

pub use crate::tickets::routes as tickets;
pub use crate::workflows::routes as orchestration;

/// What every role has.
#[derive(Clone)]
pub struct Platform {
    /// What `/health` and `/ready` tell.
    pub health: Health,
    /// What `/metrics` tells.
    pub scrape: Scrape,
    /// Is told about every request.
    pub metrics: Arc<dyn HttpMetrics>,
    /// Names requests that come without an id.
    pub ids: Arc<dyn IdGenerator>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").field("health", &self.health).finish_non_exhaustive()
    }
}

/// The application that serves the union of `roles`, each made by [`tickets`] or [`orchestration`].
pub fn app(platform: Platform, roles: impl IntoIterator<Item = Router>) -> Router {
    let Platform { health, scrape, metrics, ids } = platform;
    let routes = health::routes(health).merge(metrics::routes(scrape));
    roles
        .into_iter()
        .fold(routes, Router::merge)
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        // Innermost, so that whatever panics is measured and has an id like every other failure.
        .layer(from_fn(catch_panic))
        .layer(from_fn_with_state(metrics, metrics::measure))
        // Outermost, so that the id is there for everything else and on every response.
        .layer(from_fn_with_state(ids, request_id::give))
}

/// A scrape port that serves nothing but the metrics.
pub fn scrape_only(scrape: Scrape) -> Router {
    metrics::routes(scrape).fallback(async || Problem::no_such_path())
}

/// A defect fails one request, not the connection it came on.
async fn catch_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a request panicked");
            Problem::defect().into_response()
        }
    }
}

/// Routes that answer with and without a slash at the end, never by a redirect: some callers follow none.
pub(crate) trait Slashes<S> {
    /// Serves `path` and `path/`.
    fn both(self, path: &str, method_router: MethodRouter<S>) -> Self;
}

impl<S: Clone + Send + Sync + 'static> Slashes<S> for Router<S> {
    fn both(self, path: &str, method_router: MethodRouter<S>) -> Self {
        self.route(path, method_router.clone()).route(&format!("{path}/"), method_router)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http::Request;
    use http::header::{ALLOW, CONTENT_TYPE};

    use super::*;
    use crate::metrics::UNMATCHED;
    use crate::testing::{ask, call, json, platform, send, text};

    fn small() -> (Router, Arc<crate::testing::Remembering>) {
        let (platform, metrics) = platform();
        let role = Router::new()
            .both("/things/{id}", get(async || "here"))
            .both("/broken", get(async || -> &'static str { panic!("a defect with a secret") }));
        (app(platform, [role]), metrics)
    }

    #[tokio::test]
    async fn what_nobody_serves_is_a_problem() {
        let (app, _) = small();
        let response = send(&app, "GET", "/nowhere", None).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
            (404, &crate::problem::MEDIA_TYPE)
        );
        assert_eq!(json(response).await["detail"], "Not Found");
        let response = send(&app, "DELETE", "/things/1", None).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()[ALLOW]),
            (405, &"GET,HEAD".parse().unwrap())
        );
        assert_eq!(json(response).await["code"], "METHOD_NOT_ALLOWED");
    }

    #[tokio::test]
    async fn a_request_keeps_its_id_or_gets_one() {
        let (app, _) = small();
        let with = |id: &str| {
            call(&app, Request::get("/nowhere").header("x-request-id", id).body(Body::empty()).unwrap())
        };
        assert_eq!(with("abc-1").await.headers()["x-request-id"], "abc-1");
        let long = "x".repeat(129);
        for bad in ["", "a b", &long] {
            let given = with(bad).await.headers()["x-request-id"].clone();
            assert!(given.to_str().unwrap().starts_with("00000000-"), "{given:?}");
        }
    }

    #[tokio::test]
    async fn every_request_is_measured_by_its_pattern() {
        let (app, metrics) = small();
        for (method, path) in [
            ("GET", "/things/1"),
            ("GET", "/things/2/"),
            ("BREW", "/nowhere"),
            ("GET", "/broken"),
            ("GET", "/ready"),
        ] {
            send(&app, method, path, None).await;
        }
        let seen = metrics.0.lock().unwrap().clone();
        let expected = [
            ("GET", "/things/{id}", 200),
            ("GET", "/things/{id}", 200),
            ("OTHER", UNMATCHED, 404),
            ("GET", "/broken", 500),
            ("GET", "/ready", 200),
        ];
        assert_eq!(seen, expected.map(|(method, path, status)| (method, path.to_owned(), status)));
    }

    #[tokio::test]
    async fn an_abandoned_request_is_measured_too() {
        let (platform, metrics) = platform();
        let role = Router::new().both("/slow", get(async || std::future::pending::<&'static str>().await));
        let app = app(platform, [role]);
        let request = send(&app, "GET", "/slow", None);
        assert!(request.now_or_never().is_none());
        assert_eq!(*metrics.0.lock().unwrap(), [("GET", "/slow".to_owned(), 499)]);
    }

    #[tokio::test]
    async fn a_defect_shows_nothing_of_itself() {
        let (app, _) = small();
        let (status, problem) = ask(&app, "GET", "/broken", None).await;
        assert_eq!((status, &problem["detail"]), (500, &"internal error".into()));
        assert_eq!(ask(&app, "GET", "/health", None).await.0, 200);
    }

    #[tokio::test]
    async fn metrics_are_text_on_both_ports() {
        let (app, _) = small();
        for app in [app, scrape_only(platform().0.scrape)] {
            let response = send(&app, "GET", "/metrics", None).await;
            assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4");
            assert_eq!(text(response).await, "up 1 # \n");
            let asked = Request::get("/metrics").header("accept", "application/openmetrics-text");
            let response = call(&app, asked.body(Body::empty()).unwrap()).await;
            assert_eq!(text(response).await, "up 1 # application/openmetrics-text\n");
        }
    }
}
