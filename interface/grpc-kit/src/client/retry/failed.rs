//! What a failed attempt says about sending the call again. Only an attempt whose answer never began counts: one that
//! answered with a head and messages is over, whatever its trailers say.

use std::time::Duration;

use http::{HeaderMap, Response, StatusCode};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    client::balance::UNSENT,
    failure::{
        Effect, Failure, codes,
        render::{self, EFFECT_KEY},
    },
};

/// The server's say in when to come back (gRFC A6): milliseconds, or something else for never.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// An attempt that failed in a way that passes by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// It certainly changed nothing.
    pub(super) untouched: bool,
    /// It never left this process.
    pub(super) unsent: bool,
    /// `Some(None)`: the server wants no retry.
    pub(super) pushback: Option<Option<Duration>>,
    /// The earliest time to come back.
    pub(super) retry_after: Option<Duration>,
}

impl Failed {
    /// `None` for success and for what would fail again.
    pub(super) fn of<B>(result: &Result<Response<B>, Failure>) -> Option<Self> {
        match result {
            Err(failure) => passes(codes::code(failure.kind())).then(|| Self::by_failure(failure)),
            Ok(response) => {
                let code = code(response)?;
                passes(code).then(|| Self::by_headers(response.headers()))
            }
        }
    }

    fn by_failure(failure: &Failure) -> Self {
        Self {
            untouched: failure.effect() == Effect::None,
            unsent: failure.reason() == UNSENT,
            pushback: None,
            retry_after: failure.retry_delay(),
        }
    }

    fn by_headers(headers: &HeaderMap) -> Self {
        let details = Status::from_header_map(headers).map(|status| status.get_error_details());
        let info = details.as_ref().and_then(|details| details.error_info());
        let none = codes::effect(Effect::None);
        let untouched =
            info.is_some_and(|info| info.metadata.get(EFFECT_KEY).is_some_and(|effect| effect == none));
        let retry_after = details.as_ref().and_then(|details| details.retry_info()?.retry_delay);
        let pushback = headers.get(PUSHBACK).map(|value| {
            let millis = value.to_str().ok()?.parse::<u32>().ok()?;
            Some(Duration::from_millis(millis.into()))
        });
        Self { untouched, unsent: false, pushback, retry_after }
    }
}

/// The code of an answer that has no messages; of one that is no gRPC, the code its HTTP status stands for (gRPC,
/// "HTTP to gRPC Status Code Mapping").
fn code<B>(response: &Response<B>) -> Option<Code> {
    render::code_of(response.headers()).or(match response.status() {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Some(Code::Unavailable),
        _ => None,
    })
}

/// Whether a failure of this code passes by itself. DEADLINE_EXCEEDED is here for attempts with a time of their own:
/// when the whole call's time is up, nobody waits for another.
fn passes(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::failure::Kind;

    fn answer(headers: &[(&'static str, &'static str)]) -> Result<Response<()>, Failure> {
        let mut response = Response::new(());
        for (name, value) in headers {
            response.headers_mut().insert(*name, http::HeaderValue::from_static(value));
        }
        Ok(response)
    }

    #[test]
    fn success_and_lasting_failures_are_left_alone() {
        for headers in [&[][..], &[("grpc-status", "0")], &[("grpc-status", "3")], &[("grpc-status", "13")]] {
            assert_eq!(Failed::of(&answer(headers)), None, "{headers:?}");
        }
        assert_eq!(Failed::of(&Err::<Response<()>, _>(Failure::invalid("a", "b"))), None);
    }

    #[test]
    fn the_server_says_whether_anything_happened_and_when_to_come_back() {
        let failure = Failure::new(Kind::Unavailable, "full").untouched().retry_after(Duration::from_secs(3));
        let response: Response<tonic::body::Body> = Status::from(failure).into_http();
        let failed = Failed::of(&Ok::<_, Failure>(response)).expect("it passes");
        assert!(failed.untouched && !failed.unsent);
        assert_eq!(failed.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn pushback_is_a_number_or_never() {
        for (value, expected) in [
            ("250", Some(Duration::from_millis(250))),
            ("0", Some(Duration::ZERO)),
            ("-1", None),
            ("soon", None),
            ("99999999999", None),
        ] {
            let failed = Failed::of(&answer(&[("grpc-status", "14"), (PUSHBACK, value)])).expect("it passes");
            assert_eq!(failed.pushback, Some(expected), "{value}");
        }
    }

    #[test]
    fn proxies_speak_http() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        assert!(Failed::of(&Ok::<_, Failure>(response)).is_some());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(values in vec(vec(any::<u8>(), 0..80), 5), status in 100_u16..1000) {
            let names = ["grpc-status", "grpc-message", "grpc-status-details-bin", PUSHBACK, "content-type"];
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).expect("in range");
            for (name, value) in names.into_iter().zip(values) {
                if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                    response.headers_mut().insert(name, value);
                }
            }
            render::remove_broken_details(response.headers_mut());
            let _ = Failed::of(&Ok::<_, Failure>(response));
        }

        #[test]
        fn any_details_are_read_without_panic(details in "[A-Za-z0-9+/=]{0,120}", millis in "\\PC{0,12}") {
            let mut response = Response::new(());
            let headers = response.headers_mut();
            headers.insert("grpc-status", http::HeaderValue::from_static("14"));
            headers.insert("grpc-status-details-bin", http::HeaderValue::from_str(&details).expect("ASCII"));
            if let Ok(millis) = http::HeaderValue::from_str(&millis) {
                headers.insert(PUSHBACK, millis);
            }
            // As the balancer does with every answer.
            render::remove_broken_details(response.headers_mut());
            prop_assert!(Failed::of(&Ok::<_, Failure>(response)).is_some());
        }
    }
}
