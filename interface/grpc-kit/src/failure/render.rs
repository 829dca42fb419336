//! A failure on the wire: a gRPC status with `google.rpc` details.

use std::collections::HashMap;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb};

use super::{Failure, Violation, codes};

/// The key of `ErrorInfo.metadata` that says whether anything happened: `none` or `unknown`.
pub const EFFECT_KEY: &str = "effect";

/// What a failed call may carry. Common clients take 8 KiB of headers, base64 makes three bytes four, and a status above
/// that arrives as an error of the transport.
const MAX_DETAILS_BYTES: usize = 4 * 1024;
const MAX_MESSAGE_BYTES: usize = 1024;
const MAX_VIOLATIONS: usize = 50;
const MAX_VIOLATION_BYTES: usize = 2 * 1024;

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const REQUEST_INFO: &str = "type.googleapis.com/google.rpc.RequestInfo";
const DEBUG_INFO: &str = "type.googleapis.com/google.rpc.DebugInfo";

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
    let mut bytes = 0;
    let fits = |violation: &&Violation| {
        bytes += violation.field.len() + violation.description.len();
        bytes <= MAX_VIOLATION_BYTES
    };
    let all = failure.violations();
    let told = all.iter().take(MAX_VIOLATIONS).take_while(fits).count();
    for violation in &all[..told] {
        details.add_bad_request_violation(&*violation.field, &*violation.description);
    }
    if told < all.len() {
        details.add_bad_request_violation("*", format!("{} more break a rule", all.len() - told));
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
/// RequestInfo the request id, and what is too large is left out. The status's other details and its metadata stay.
pub(crate) fn finish(status: &Status, domain: &str, request_id: &str) -> (Status, Finished) {
    let mut details = pb::Status::decode(status.details()).unwrap_or_default().details;
    let is = |name: &'static str| move |any: &Any| any.type_url == name;
    let given = details.iter().find(|any| is(ERROR_INFO)(any));
    let given = given.and_then(|any| pb::ErrorInfo::decode(&*any.value).ok());
    let unknown = matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss);
    let hidden = (unknown && given.is_none()).then(|| status.message().to_owned());
    if hidden.is_some() {
        details.retain(|any| !is(DEBUG_INFO)(any));
    }
    let info = given.unwrap_or_else(|| pb::ErrorInfo {
        reason: codes::kind(status.code()).map(codes::reason).unwrap_or_default().to_owned(),
        ..pb::ErrorInfo::default()
    });
    let domain = if info.domain.is_empty() { domain.to_owned() } else { info.domain.clone() };
    details.retain(|any| !is(ERROR_INFO)(any) && !is(REQUEST_INFO)(any));
    details.insert(0, any(ERROR_INFO, &pb::ErrorInfo { domain, ..info }));
    let request = pb::RequestInfo { request_id: request_id.to_owned(), serving_data: String::new() };
    details.push(any(REQUEST_INFO, &request));
    for kept in [[ERROR_INFO, REQUEST_INFO].as_slice(), &[REQUEST_INFO]] {
        if details.iter().map(Any::encoded_len).sum::<usize>() > MAX_DETAILS_BYTES {
            details.retain(|any| kept.contains(&&*any.type_url));
        }
    }
    let message = if hidden.is_some() { codes::FIXED_TEXT } else { status.message() };
    let message = cut(message);
    let wire = pb::Status { code: status.code() as i32, message: message.clone(), details };
    let (code, metadata) = (status.code(), status.metadata().clone());
    let finished = Status::with_details_and_metadata(code, message, wire.encode_to_vec().into(), metadata);
    (finished, Finished { hidden })
}

fn any(type_url: &str, message: &impl prost::Message) -> Any {
    Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
}

fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message.to_owned();
    }
    format!("{}...", &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)])
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
    fn what_the_kit_does_not_know_stays() {
        let own = |name: &str| any(&format!("type.googleapis.com/shop.v1.{name}"), &pb::Help::default());
        let broken = Any { type_url: "type.googleapis.com/google.rpc.Help".to_owned(), value: vec![0xff] };
        let debug = any(DEBUG_INFO, &pb::DebugInfo::default());
        let given = vec![own("OutOfStock"), broken, own("Similar"), debug];
        let details = |code: Code| {
            let wire = pb::Status { details: given.clone(), ..pb::Status::default() };
            let status = Status::with_details(code, "none left", wire.encode_to_vec().into());
            let (status, _) = finish(&status, "shop.v1.Items", "req-1");
            let wire = pb::Status::decode(status.details()).expect("details");
            assert_eq!((wire.code, &*wire.message), (code as i32, status.message()));
            wire.details
        };
        let kept = details(Code::FailedPrecondition);
        assert_eq!(kept[1..5], given);
        assert_eq!((&*kept[0].type_url, &*kept[5].type_url), (ERROR_INFO, REQUEST_INFO));
        // What caused an unknown failure is nobody's business.
        assert_eq!(details(Code::Internal)[1..4], given[..3]);
    }

    #[test]
    fn an_error_fits_into_the_headers_of_any_client() {
        let mut failure = Failure::invalid("a", "b".repeat(5000));
        for field in 0..1000 {
            failure = failure.violation(format!("items[{field}].name"), "must not be empty");
        }
        let few = Failure::new(Kind::Invalid, "c").violation("a", "b");
        for (failure, told) in [(failure, 1), (few, 1)] {
            let mut headers = HeaderMap::new();
            let (status, _) = finish(&status(&failure), "shop.v1.Items", "req-1");
            write(&status, &mut headers);
            let bytes: usize =
                headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            assert!(bytes < 8 * 1024, "{bytes}");
            let details = status.get_error_details();
            assert_eq!(details.bad_request().expect("bad request").field_violations.len(), told);
        }
        let mut failure = Failure::new(Kind::Invalid, "c");
        for field in 0..60 {
            failure = failure.violation(format!("f{field}"), "is bad");
        }
        let details = status(&failure).get_error_details();
        let told = &details.bad_request().expect("bad request").field_violations;
        assert_eq!((told.len(), &*told[50].description), (51, "10 more break a rule"));
    }

    #[test]
    fn foreign_details_that_do_not_fit_are_left_out() {
        let large = any("type.googleapis.com/shop.v1.Large", &pb::Help::default());
        let large = Any { value: vec![1; 100_000], ..large };
        let reason = pb::ErrorInfo { reason: "R".repeat(10_000), ..pb::ErrorInfo::default() };
        for (given, kept) in [
            (vec![large.clone()], vec![ERROR_INFO, REQUEST_INFO]),
            (vec![any(ERROR_INFO, &reason), large], vec![REQUEST_INFO]),
        ] {
            let wire = pb::Status { details: given, ..pb::Status::default() };
            let status = Status::with_details(Code::NotFound, "n", wire.encode_to_vec().into());
            let (status, _) = finish(&status, "d", "r");
            let wire = pb::Status::decode(status.details()).expect("details");
            assert_eq!(wire.details.iter().map(|any| &*any.type_url).collect::<Vec<_>>(), kept);
        }
    }

    #[test]
    fn kinds_reach_their_codes() {
        assert_eq!(Status::from(Failure::new(Kind::Conflict, "again")).code(), Code::Aborted);
    }
}
