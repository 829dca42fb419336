//! The REST interfaces and the scrape port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use hive_application::tickets::{TicketApi, Tickets, TokenConfig};
use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::server::config::{AuthConfig, Secret};
use hive_http::health::Health;
use hive_http::metrics::Scrape;
use hive_http::router::{Platform, app, orchestration, scrape_only, tickets};
use hive_jwt::Hs256TokenIssuer;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::gate::Gate;
use super::metrics::Metrics;
use crate::telemetry::tickets::MeasuredIssuer;
use crate::wire::{Ground, Hive};

/// The tickets as callers use them. Without a key, tokens are signed with one that ends with this process. They are made as
/// this process wants tokens to be, since they are shown to it.
pub(super) fn ticket_api(
    tickets: &Tickets,
    ground: &Ground,
    auth: &AuthConfig,
) -> Result<TicketApi, hive_jwt::EmptyKey> {
    let own = format!("{}{}", ground.ids.uuid(), ground.ids.uuid());
    let key = auth.jwt_secret.as_ref().map_or(own.as_str(), Secret::expose);
    let issuer = Hs256TokenIssuer::new(key.as_bytes())?;
    let (clock, ids) = (Arc::clone(&ground.clock), Arc::clone(&ground.ids));
    let issuer = Arc::new(MeasuredIssuer::new(issuer));
    let mut tokens = TokenConfig::default();
    if let Some(expected) = &auth.issuer {
        tokens.issuer.clone_from(expected);
    }
    if let Some(expected) = &auth.audience {
        tokens.audience.clone_from(expected);
    }
    Ok(TicketApi::new(tickets.clone(), clock, ids, issuer, tokens))
}

/// The union of the routes of the roles served, and the metrics alone.
pub(super) fn routers(
    hive: &Hive,
    api: Option<TicketApi>,
    gate: &Gate,
    metrics: &Arc<Metrics>,
    health: Health,
    failed: &Arc<Notify>,
) -> [Router; 2] {
    let scrape: Scrape = {
        let metrics = Arc::clone(metrics);
        Arc::new(move |accept| metrics.render(accept))
    };
    let platform = Platform {
        health,
        scrape: Arc::clone(&scrape),
        metrics: Arc::clone(metrics) as _,
        ids: Arc::clone(&hive.ground.ids),
    };
    let roles = api.map(tickets).into_iter().chain(hive.orchestration.clone().map(orchestration));
    [app(platform, roles.map(|role| gate.before(telling(role, failed)))), scrape_only(scrape)]
}

/// Tells of every request that fails because something is away.
fn telling(routes: Router, failed: &Arc<Notify>) -> Router {
    let failed = Arc::clone(failed);
    routes.layer(map_response(move |response: Response| {
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            failed.notify_one();
        }
        std::future::ready(response)
    }))
}

/// Serves until the shutdown; what runs then has the drain time to finish.
pub(super) async fn serve(router: Router, listener: TcpListener, shutdown: Shutdown, drain: Duration) {
    let mut begun = shutdown.draining();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving =
        axum::serve(listener, service).with_graceful_shutdown(async move { begun.draining().await });
    let mut ending = shutdown.draining();
    let end = async move {
        ending.draining().await;
        // Whichever comes first; both mean that what still runs is cut off.
        let _ = tokio::time::timeout(drain, ending.stopped()).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "HTTP is not served any more");
        },
        () = end => tracing::warn!("HTTP requests that still ran were cut off"),
    }
}
