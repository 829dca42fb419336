//! Tokens of REST callers, by the same rules and keys as those of gRPC callers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hive_grpc_kit::auth::Verifier;
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
    request.extensions_mut().insert(Authenticated(principal.subject().to_owned()));
    next.run(request).await
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
