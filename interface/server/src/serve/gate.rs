//! Tokens of REST callers, by the same rules and keys as those of gRPC callers; what a token allows.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hive_application::context::TicketGrant;
use hive_grpc_kit::auth::{Principal, Verifier};
use hive_grpc_kit::server::config::AuthMode;
use hive_http::caller::Authenticated;
use hive_http::problem::Problem;
use http::HeaderValue;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

/// Who may pass.
#[derive(Clone)]
pub(super) struct Gate {
    required: bool,
    /// None when tokens are not looked at.
    verifier: Option<Arc<Verifier>>,
}

impl Gate {
    pub(super) fn new(mode: AuthMode, verifier: Option<Arc<Verifier>>) -> Self {
        Gate { required: mode == AuthMode::Required, verifier }
    }

    /// Puts the gate before every route.
    pub(super) fn before(&self, routes: Router) -> Router {
        match self.verifier {
            Some(_) => routes.layer(from_fn_with_state(self.clone(), pass)),
            None => routes,
        }
    }
}

async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let token = request.headers().get(AUTHORIZATION).map(bearer);
    let found = match (token, &gate.verifier) {
        (Some(token), Some(verifier)) => token.and_then(|token| verifier.verify(token).ok()),
        (None, _) if !gate.required => return next.run(request).await,
        _ => None,
    };
    let Some(principal) = found else {
        let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        return (challenge, Problem::unauthenticated()).into_response();
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
