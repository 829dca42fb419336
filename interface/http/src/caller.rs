//! Who calls, read from a request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use hive_application::context::{CallContext, TicketGrant};
use http::HeaderMap;
use http::request::Parts;

use crate::problem::Problem;
use crate::request_id::RequestId;

/// Who calls, as a layer around the routes found out: put into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Its name.
    pub name: String,
    /// All it may do, when its token was made for one ticket.
    pub grant: Option<TicketGrant>,
}

/// What history records for callers that say nothing else about themselves.
pub(crate) const PRINCIPAL: &str = "rest";
/// Characters of a header that is kept.
const MAX_CHARS: usize = 255;

/// The circumstances of the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) CallContext);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let headers = &parts.headers;
        let correlation_id = header(headers, "x-correlation-id")
            .or_else(|| header(headers, "x-neural-hive-correlation-id"))
            .or_else(|| parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone()));
        let principal = parts.extensions.get::<Authenticated>();
        Ok(Caller(CallContext {
            principal: principal.map_or(PRINCIPAL, |known| known.name.as_str()).to_owned(),
            correlation_id,
            trace_parent: header(headers, "traceparent"),
            grant: principal.and_then(|known| known.grant.clone()),
        }))
    }
}

/// The request of a service: one by a token made for a ticket is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByService;

impl<S: Send + Sync> FromRequestParts<S> for ByService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Caller(context)) = Caller::from_request_parts(parts, state).await;
        context.must_be_service()?;
        Ok(ByService)
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty() && text.len() <= MAX_CHARS).then(|| text.to_owned())
}
