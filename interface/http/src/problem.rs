//! Failures as callers see them: RFC 9457 problem documents, and the one table from kinds of failure to HTTP statuses.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use hive_application::error::{Error, ErrorKind, chain};
use hive_application::messages::DecodeError;
use hive_domain::orchestration::finding::{Code, Finding, Findings};
use hive_proto::result::FindingJson;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;

/// The media type of a problem document.
pub(crate) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a caller may try again what failed for want of something.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// A failed request. What it shows is fit for callers: no SQL, paths or secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    field: Option<String>,
    findings: Option<Box<Findings>>,
}

/// The status of a kind of failure. A refused move of a ticket is told apart, because callers expect 400 for it.
fn status(kind: ErrorKind, reason: &str) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::FailedPrecondition if reason == "INVALID_TRANSITION" => StatusCode::BAD_REQUEST,
        ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition | ErrorKind::Aborted => StatusCode::CONFLICT,
        ErrorKind::OutOfRange => StatusCode::GONE,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// A problem from its parts; `code` is a stable word.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, code: code.into(), detail: detail.into(), field: None, findings: None }
    }

    /// Something the caller sent can never work.
    pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Error::invalid(field, problem).into()
    }

    /// No such path.
    pub(crate) fn no_such_path() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "NO_SUCH_PATH", "Not Found")
    }

    /// The path is there, but not for this method; which ones it has is told by the `allow` header.
    pub(crate) fn wrong_method() -> Self {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Method Not Allowed")
    }

    /// The caller did not say who it is, or cannot prove it.
    pub fn unauthenticated() -> Self {
        Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "a valid bearer token is needed")
    }

    /// Nobody can tell yet who calls.
    pub fn unverifiable() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "tokens cannot be verified at present")
    }

    /// Too many tokens that came from there were not valid.
    pub fn too_many_failures() -> Self {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMITED",
            "too many requests without a valid bearer token",
        )
    }

    /// A defect of ours.
    pub(crate) fn defect() -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "internal error")
    }

    /// The body has more bytes than accepted.
    pub(crate) fn too_large(max: usize) -> Self {
        let detail = format!("the body has more than the {max} bytes that are accepted");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", detail)
    }

    /// A message that C1 refuses, with everything that is wrong with it.
    pub(crate) fn refused(findings: Findings) -> Self {
        let only = |code: Code| findings.errors.iter().all(|finding| finding.code == code);
        let status = if only(Code::PlanConflict) {
            StatusCode::CONFLICT
        } else if only(Code::MessageTooLarge) {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        let (code, detail) = match findings.errors.as_slice() {
            [only] => (only.code.as_str(), only.to_string()),
            many => ("PLAN_INVALID", format!("the plan is refused for {} reasons", many.len())),
        };
        let findings = Some(Box::new(findings));
        Problem { findings, ..Problem::new(status, code, detail) }
    }

    /// The same problem under another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Problem { status, ..self }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Internal => tracing::error!(error = chain(&error), "a request failed"),
            ErrorKind::Unavailable => tracing::warn!(error = chain(&error), "a request failed"),
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::FailedPrecondition
            | ErrorKind::OutOfRange
            | ErrorKind::Aborted
            | ErrorKind::PermissionDenied
            | ErrorKind::ResourceExhausted => {}
        }
        let problem = Problem::new(status(error.kind(), error.reason()), error.reason(), error.to_string());
        Problem { field: error.field().map(str::to_owned), ..problem }
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let (status, code) = match error {
            DecodeError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE"),
            DecodeError::TooDeep { .. } => (StatusCode::BAD_REQUEST, "NESTING_TOO_DEEP"),
            DecodeError::NotText { .. } | DecodeError::NotJson { .. } => {
                (StatusCode::BAD_REQUEST, "NOT_JSON")
            }
        };
        Problem::new(status, code, error.to_string())
    }
}

/// The document, in the order of the RFC; then ours.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FindingJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<FindingJson>>,
}

/// Findings as every JSON interface shows them.
pub(crate) fn findings_json(findings: &[Finding]) -> Vec<FindingJson> {
    let show = |finding: &Finding| FindingJson {
        code: finding.code.as_str().to_owned(),
        path: finding.path.clone(),
        message: finding.message.clone(),
    };
    findings.iter().map(show).collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let findings = self.findings.as_deref();
        let document = Document {
            r#type: format!("urn:hive:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            field: self.field.as_deref(),
            errors: findings.map(|findings| findings_json(&findings.errors)),
            warnings: findings.map(|findings| findings_json(&findings.warnings)),
        };
        let mut response = (self.status, axum::Json(document)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use hive_application::error::Effect;

    use super::*;
    use crate::testing::json;

    #[tokio::test]
    async fn what_is_inside_an_error_stays_inside() {
        for (error, status) in [
            (Error::internal("SELECT * FROM execution_tickets"), 500),
            (
                Error::unavailable(
                    "the ticket store",
                    "/data/tickets.db is locked by SELECT",
                    Effect::Unknown,
                ),
                503,
            ),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
            let text = json(response).await.to_string();
            assert!(!text.contains("SELECT") && !text.contains("/data"), "{text}");
        }
    }

    #[tokio::test]
    async fn findings_are_listed_with_their_places() {
        let mut findings = Findings::default();
        findings.error(Code::Cycle, "tasks", "a needs b needs a");
        findings.warning(Code::DefaultApplied, "$", "version");
        let response = Problem::refused(findings).into_response();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let body = json(response).await;
        assert_eq!(body["code"], "CYCLE");
        assert_eq!(body["errors"][0]["path"], "tasks");
        assert_eq!(body["warnings"][0]["code"], "DEFAULT_APPLIED");
    }

    #[test]
    fn every_kind_has_its_status() {
        let status = |kind, reason| status(kind, reason).as_u16();
        assert_eq!(status(ErrorKind::FailedPrecondition, "INVALID_TRANSITION"), 400);
        assert_eq!(status(ErrorKind::FailedPrecondition, "STALE_EPOCH"), 409);
        assert_eq!(status(ErrorKind::AlreadyExists, "TICKET_EXISTS"), 409);
        assert_eq!(status(ErrorKind::PermissionDenied, "DENIED"), 403);
        assert_eq!(status(ErrorKind::ResourceExhausted, "QUEUE_FULL"), 429);
    }
}
