//! What requests bring: ids in the path, pairs in the query, one JSON value in the body. Whatever is wrong with them is
//! said as a problem that names the place.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use hive_application::error::invalid_id;
use hive_application::messages::decode;
use hive_domain::ids::IdError;
use hive_domain::json::Json;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use crate::fields::Fields;
use crate::problem::Problem;

/// Bytes of a body that is about tickets.
pub(crate) const TICKET_BYTES: usize = 1024 * 1024;
/// Bytes of a body that is a plan.
pub(crate) const PLAN_BYTES: usize = 16 * 1024 * 1024;
/// Arrays and objects inside one another.
const MAX_NESTING: usize = 64;

/// The one id in the path, as text.
#[derive(Debug)]
pub(crate) struct PathText(String);

impl PathText {
    /// The id, by its parser; `field` is its name in a problem.
    pub(crate) fn id<T>(
        &self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Result<T, Problem> {
        Ok(parse(&self.0).map_err(invalid_id(field))?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(PathText(text)),
            Err(_) => Err(Problem::invalid("path", "is not UTF-8 text")),
        }
    }
}

/// The pairs of the query. An empty value counts as absent, unknown keys are ignored.
#[derive(Debug)]
pub(crate) struct Pairs(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Query(given)) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await else {
            return Err(Problem::invalid("query", "cannot be read"));
        };
        let mut pairs = BTreeMap::new();
        for (key, value) in given.into_iter().filter(|(_, value)| !value.is_empty()) {
            if pairs.contains_key(&key) {
                return Err(Problem::invalid(&key, "is given twice"));
            }
            pairs.insert(key, value);
        }
        Ok(Pairs(pairs))
    }
}

impl Pairs {
    /// A value as it stands.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A word of a closed list, by its parser.
    pub(crate) fn word<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Problem::invalid(key, "is not one of its words"))
    }

    /// A number from `min` to `max`, or `default` when absent.
    pub(crate) fn number(&self, key: &str, default: u64, min: u64, max: u64) -> Result<u64, Problem> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number
            .ok_or_else(|| Problem::invalid(key, format_args!("must be a whole number from {min} to {max}")))
    }
}

/// The members of a JSON object in a body about tickets.
#[derive(Debug)]
pub(crate) struct TicketBody(pub(crate) Fields);

/// The members of a JSON object in a body with a plan.
#[derive(Debug)]
pub(crate) struct PlanBody(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for TicketBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let fields = read(request, TICKET_BYTES).await?;
        fields.check_texts()?;
        Ok(TicketBody(fields))
    }
}

impl<S: Send + Sync> FromRequest<S> for PlanBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        read(request, PLAN_BYTES).await.map(PlanBody)
    }
}

async fn read(request: Request, max: usize) -> Result<Fields, Problem> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > max as u64) {
        return Err(Problem::too_large(max));
    }
    let bytes = to_bytes(request.into_body(), max).await.map_err(|error| body_problem(&error, max))?;
    match decode(&bytes, max, MAX_NESTING)? {
        Json::Object(members) => Ok(Fields::new(members)),
        other => Err(Problem::invalid("$", format_args!("must be an object, is {}", other.type_name()))),
    }
}

fn body_problem(error: &axum::Error, max: usize) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return Problem::too_large(max);
        }
        cause = error.source();
    }
    Problem::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "the body ended before it was complete")
}
