//! A failure on the wire: a gRPC status with `google.rpc` details.

use std::collections::HashMap;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Failure, codes};

/// The key of `ErrorInfo.metadata` that says whether anything happened: `none` or `unknown`.
pub const EFFECT_KEY: &str = "effect";

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
pub(crate) const DETAILS: &str = "grpc-status-details-bin";

impl From<Failure> for Status {
    /// The cause of a hidden kind is logged here, once: a status carries it no further than this process's servicer.
    fn from(failure: Failure) -> Self {
        log_hidden(&failure);
        status(&failure)
    }
}

/// Logs what the caller will not read.
pub(crate) fn log_hidden(failure: &Failure) {
    if codes::hides_cause(failure.kind()) {
        tracing::error!(reason = failure.reason(), error = failure.chain(), "a call failed");
    }
}

/// The status of a failure: ErrorInfo always, BadRequest and RetryInfo where they apply. The domain is left for the
/// error layer, which knows the called service.
pub fn status(failure: &Failure) -> Status {
    status_of(failure, "")
}

/// The status of a failure in this domain.
pub(crate) fn status_of(failure: &Failure, domain: &str) -> Status {
    let mut details = ErrorDetails::new();
    let metadata = HashMap::from([(EFFECT_KEY.to_owned(), codes::effect(failure.effect()).to_owned())]);
    details.set_error_info(failure.reason(), domain, metadata);
    for violation in failure.violations() {
        details.add_bad_request_violation(&*violation.field, &*violation.description);
    }
    if let Some(wait) = failure.retry_delay() {
        details.set_retry_info(Some(wait));
    }
    Status::with_error_details(codes::code(failure.kind()), failure.public_message(), details)
}

/// What [`finish`] did to a status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The text that was replaced because it came from an unknown cause.
    pub(crate) hidden: Option<String>,
}

/// Completes a failed status for the wire: an unknown cause is replaced by the fixed text, ErrorInfo gets its domain,
/// RequestInfo the request id. The status's own metadata stays.
pub(crate) fn finish(status: &Status, domain: &str, request_id: &str) -> (Status, Finished) {
    let mut details = status.get_error_details();
    let made_here = details.error_info().is_some();
    let unknown = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss);
    let hidden = (unknown && !made_here).then(|| status.message().to_owned());
    let message = if hidden.is_some() { codes::FIXED_TEXT } else { status.message() };
    let (reason, metadata) = match details.error_info() {
        Some(info) if !info.domain.is_empty() => (None, HashMap::new()),
        Some(info) => (Some(info.reason.clone()), info.metadata.clone()),
        None => (codes::kind(status.code()).map(|kind| codes::reason(kind).to_owned()), HashMap::new()),
    };
    if let Some(reason) = reason {
        details.set_error_info(reason, domain, metadata);
    }
    details.set_request_info(request_id, "");
    let finished =
        Status::with_error_details_and_metadata(status.code(), message, details, status.metadata().clone());
    (finished, Finished { hidden })
}

/// The code a header map carries, when it carries one: the headers of a trailers-only answer, or the trailers.
pub fn code_of(headers: &HeaderMap) -> Option<Code> {
    static NAME: HeaderName = HeaderName::from_static(STATUS);
    headers.get(&NAME).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Removes details that are no base64 from what another process sent: tonic panics when it reads them.
pub(crate) fn remove_broken_details(headers: &mut HeaderMap) {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let Some(details) = headers.get(DETAILS) else { return };
    if ENGINE.decode(details.as_bytes()).is_err() {
        headers.remove(DETAILS);
    }
}

/// Writes a status into headers or trailers, in place of the one there.
pub(crate) fn write(status: &Status, headers: &mut HeaderMap) {
    headers.remove(MESSAGE);
    headers.remove(DETAILS);
    if status.add_header(headers).is_err() {
        // Only metadata that is no header value gets here; the code still has to arrive.
        headers.insert(STATUS, HeaderValue::from(status.code() as i32));
    }
}

/// The trailers that end a stream with this failure.
pub(crate) fn trailers(failure: &Failure) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    write(&status(failure), &mut trailers);
    trailers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Kind;

    #[test]
    fn details_survive_the_wire() {
        let failure = Failure::invalid("item.sku", "must not be empty")
            .with_reason("SKU_EMPTY")
            .retry_after(Duration::from_millis(250));
        let mut headers = HeaderMap::new();
        let (status, finished) = finish(&status(&failure), "shop.v1.Items", "req-1");
        write(&status, &mut headers);
        assert_eq!(finished.hidden, None);
        let read = Status::from_header_map(&headers).expect("a status");
        assert_eq!(read.code(), Code::InvalidArgument);
        let details = read.get_error_details();
        let info = details.error_info().expect("error info");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SKU_EMPTY", "shop.v1.Items"));
        assert_eq!(info.metadata[EFFECT_KEY], "none");
        assert_eq!(details.bad_request().expect("bad request").field_violations[0].field, "item.sku");
        let wait = details.retry_info().expect("retry info").retry_delay;
        assert_eq!(wait, Some(Duration::from_millis(250)));
        assert_eq!(details.request_info().expect("request info").request_id, "req-1");
    }

    #[test]
    fn an_unknown_status_loses_its_text() {
        for code in [Code::Internal, Code::Unknown, Code::DataLoss] {
            let (status, finished) = finish(&Status::new(code, "SELECT * FROM t"), "d", "r");
            assert_eq!(status.message(), codes::FIXED_TEXT);
            assert_eq!(finished.hidden.as_deref(), Some("SELECT * FROM t"));
        }
    }

    #[test]
    fn a_known_status_keeps_its_text_and_metadata() {
        let mut given = Status::not_found("no item 7");
        given.metadata_mut().insert("x-extra", "kept".parse().expect("a value"));
        let (status, finished) = finish(&given, "d", "r");
        assert_eq!(status.message(), "no item 7");
        assert_eq!(status.metadata().get("x-extra").expect("metadata"), "kept");
        assert_eq!(finished.hidden, None);
    }

    #[test]
    fn kinds_reach_their_codes() {
        assert_eq!(Status::from(Failure::new(Kind::Conflict, "again")).code(), Code::Aborted);
    }
}
