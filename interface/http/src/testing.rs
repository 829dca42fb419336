//! An application over real databases in a folder of their own, and requests to it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use hive_application::clock::Clock;
use hive_application::error::Error;
use hive_application::ids::IdGenerator;
use hive_application::tickets::{TicketApi, Tickets, TokenClaims, TokenConfig, TokenIssuer};
use hive_domain::time::Timestamp;
use hive_sql::{Config, TicketDatabase};
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::health::{Health, Readiness};
use crate::metrics::HttpMetrics;
use crate::router::{Platform, app};

/// A clock that moves on by a millisecond whenever it is read.
#[derive(Debug)]
pub(crate) struct Ticking(AtomicI64);

impl Default for Ticking {
    fn default() -> Self {
        Ticking(AtomicI64::new(1_700_000_000_000))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Ids in a row.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicU64);

impl IdGenerator for Counting {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Unsigned;

impl TokenIssuer for Unsigned {
    fn issue(&self, claims: &TokenClaims) -> Result<String, Error> {
        Ok(format!("token-{}", claims.jti))
    }
}

/// One request as the metrics saw it.
pub(crate) type Seen = (&'static str, String, u16);

/// Remembers what it is told.
#[derive(Debug, Default)]
pub(crate) struct Remembering(pub(crate) Mutex<Vec<Seen>>);

impl HttpMetrics for Remembering {
    fn answered(&self, method: &'static str, endpoint: &str, status: u16, _took: Duration) {
        self.0.lock().unwrap().push((method, endpoint.to_owned(), status));
    }
}

/// The ticket context on a database in `folder`.
pub(crate) async fn ticket_api(folder: &TempDir) -> TicketApi {
    let database = TicketDatabase::open(&Config::new(folder.path().join("tickets.db"))).await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Ticking::default());
    let tickets = Tickets::new(database.repository(), database.log(), Arc::clone(&clock));
    let ids = Arc::new(Counting::default());
    TicketApi::new(tickets, clock, ids, Arc::new(Unsigned), TokenConfig::default())
}

/// What every role has, and the metrics it tells.
pub(crate) fn platform() -> (Platform, Arc<Remembering>) {
    let metrics = Arc::new(Remembering::default());
    let ready: Arc<dyn Readiness> = Arc::new(|| true);
    let platform = Platform {
        health: Health::new("execution-ticket-service", "1.0.0", [("sqlite".to_owned(), ready)]),
        scrape: Arc::new(|accept| ("text/plain; version=0.0.4", format!("up 1 # {accept}\n"))),
        metrics: Arc::clone(&metrics) as Arc<dyn HttpMetrics>,
        ids: Arc::new(Counting::default()),
    };
    (platform, metrics)
}

/// The ticket role, with its folder, which lives as long as the test keeps it.
pub(crate) async fn ticket_app() -> (Router, TempDir) {
    let (app, _, folder) = ticket_app_and_api().await;
    (app, folder)
}

/// The ticket role, and what it calls.
pub(crate) async fn ticket_app_and_api() -> (Router, TicketApi, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let api = ticket_api(&folder).await;
    (app(platform().0, [crate::router::tickets(api.clone())]), api, folder)
}

/// The answer to one request.
pub(crate) async fn call(app: &Router, request: Request<Body>) -> Response {
    let Ok(response) = app.clone().oneshot(request).await;
    response
}

/// The answer to one request, with a JSON body when there is one.
pub(crate) async fn send(app: &Router, method: &str, path: &str, body: Option<&Value>) -> Response {
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    call(app, request.body(body).unwrap()).await
}

/// Status and JSON body of the answer to one request.
pub(crate) async fn ask(app: &Router, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let response = send(app, method, path, body).await;
    (response.status().as_u16(), json(response).await)
}

/// The JSON body of an answer.
pub(crate) async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The body of an answer.
pub(crate) async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 26).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Text as one segment of a path, every byte escaped that is not a letter or digit.
pub(crate) fn segment(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escape).collect()
}
