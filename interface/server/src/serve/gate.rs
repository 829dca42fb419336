//! Tokens of REST callers, by the same rules and keys as those of gRPC callers; what a token allows.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hive_application::context::TicketGrant;
use hive_grpc_kit::auth::{Principal, Rejected, Unverified, Verifier};
use hive_grpc_kit::server::config::AuthMode;
use hive_http::caller::Authenticated;
use hive_http::problem::Problem;
use http::HeaderValue;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};

/// Who may pass.
#[derive(Clone)]
pub(super) struct Gate {
    mode: AuthMode,
    /// None where certificates say who calls gRPC: then no token is valid.
    verifier: Option<Arc<Verifier>>,
}

impl Gate {
    pub(super) fn new(mode: AuthMode, verifier: Option<Arc<Verifier>>) -> Self {
        Gate { mode, verifier }
    }

    /// What verifies tokens, for the servers of gRPC to share.
    pub(super) fn verifier(&self) -> Option<&Arc<Verifier>> {
        self.verifier.as_ref()
    }

    /// Fetches remote keys again and again, for as long as it is polled: there may be no server of gRPC to do so.
    pub(super) async fn keep_up_to_date(&self) {
        match &self.verifier {
            Some(verifier) => verifier.keep_up_to_date().await,
            None => std::future::pending().await,
        }
    }

    /// Puts the gate before every route.
    pub(super) fn before(&self, routes: Router) -> Router {
        match self.mode {
            AuthMode::Off => routes,
            AuthMode::Optional | AuthMode::Required => routes.layer(from_fn_with_state(self.clone(), pass)),
        }
    }

    async fn find(&self, header: &HeaderValue, from: Option<IpAddr>) -> Result<Principal, Unverified> {
        let (Some(verifier), Some(token)) = (&self.verifier, bearer(header)) else {
            return Err(Rejected.into());
        };
        verifier.verify_fetching(token, from).await
    }
}

async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let found = match request.headers().get(AUTHORIZATION) {
        Some(header) => gate.find(&header.clone(), from).await,
        None if gate.mode != AuthMode::Required => return next.run(request).await,
        None => Err(Rejected.into()),
    };
    let principal = match found {
        Ok(principal) => principal,
        Err(Unverified::NoKeys) => return Problem::unverifiable().into_response(),
        Err(Unverified::TooManyFailures { wait }) => {
            let seconds = HeaderValue::from(wait.as_secs().saturating_add(1));
            return ([(RETRY_AFTER, seconds)], Problem::too_many_failures()).into_response();
        }
        Err(Unverified::Rejected(_)) => {
            let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            return (challenge, Problem::unauthenticated()).into_response();
        }
    };
    let (name, grant) = (principal.subject().to_owned(), grant(&principal));
    request.extensions_mut().insert(Authenticated { name, grant });
    next.run(request).await
}

/// What a caller may do whose token was made for a ticket; nothing is said of a service, which may do all.
pub(super) fn grant(principal: &Principal) -> Option<TicketGrant> {
    let ticket_id = principal.claims().get("ticket_id")?.as_str().unwrap_or_default().to_owned();
    Some(TicketGrant { ticket_id, may_update: principal.has_scope("ticket:update") })
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use hive_grpc_kit::server::config::{Config, Environment, Secret};
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(gate: &Gate, authorization: Option<&str>) -> StatusCode {
        let mut request = Request::builder().uri("/");
        if let Some(header) = authorization {
            request = request.header(AUTHORIZATION, header);
        }
        let routes = gate.before(Router::new().route("/", get(|| async {})));
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn without_keys_no_token_is_valid_and_the_mode_decides_about_none() {
        for (mode, none, any) in [
            (AuthMode::Off, StatusCode::OK, StatusCode::OK),
            (AuthMode::Optional, StatusCode::OK, StatusCode::UNAUTHORIZED),
            (AuthMode::Required, StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
        ] {
            let gate = Gate::new(mode, None);
            assert_eq!(status(&gate, None).await, none, "{mode:?}");
            assert_eq!(status(&gate, Some("Bearer x.y.z")).await, any, "{mode:?}");
        }
    }

    #[tokio::test]
    async fn who_fails_too_often_is_refused_by_address() {
        let mut config = Config::default();
        config.auth.mode = Some(AuthMode::Required);
        config.auth.jwt_secret = Some(Secret::new("a secret"));
        config.auth.failures_per_minute = 2;
        let gate =
            Gate::new(AuthMode::Required, config.verifier(Environment::Development).unwrap().map(Arc::new));
        let mut seen = Vec::new();
        for port in [1, 2, 3, 4] {
            let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 1], port)));
            let request = Request::get("/").header(AUTHORIZATION, "Bearer x.y.z").extension(peer);
            let routes = gate.before(Router::new().route("/", get(|| async {})));
            let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            seen.push((response.status().as_u16(), response.headers().get(RETRY_AFTER).is_some()));
        }
        assert_eq!(seen, [(401, false), (401, false), (429, true), (429, true)]);
        // From another address, or none.
        assert_eq!(status(&gate, Some("Bearer x.y.z")).await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn while_remote_keys_were_never_there_nothing_is_said_of_a_token() {
        let mut config = Config::default();
        config.auth.mode = Some(AuthMode::Required);
        // Nothing listens there.
        config.auth.jwks_url = Some("http://127.0.0.1:1/keys".to_owned());
        let verifier = config.verifier(Environment::Development).unwrap().map(Arc::new);
        let gate = Gate::new(AuthMode::Required, verifier);
        // {"alg":"EdDSA"}, {} and a signature of nobody's; what is no token at all would be none with any key.
        let unknown = Some("Bearer eyJhbGciOiJFZERTQSJ9.e30.c2ln");
        assert_eq!(status(&gate, unknown).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&gate, Some("Bearer x.y.z")).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&gate, None).await, StatusCode::UNAUTHORIZED);
    }
}
