//! What a failed attempt says about sending the call again. Only an attempt whose answer never began counts: one that
//! answered with a head and messages is over, whatever its trailers say.

use std::time::Duration;

use http::{HeaderMap, Response};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    client::balance::{REFUSED, UNSENT},
    failure::{Effect, Failure, codes, render::EFFECT_KEY},
    observe,
};

/// The server's say in when to come back (gRFC A6): milliseconds, or something else for never.
pub(in crate::client) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The reason of a message above a limit: it stays too large.
const TOO_LARGE: &str = "MESSAGE_TOO_LARGE";

/// An attempt that failed in a way that passes by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// It certainly changed nothing.
    pub(super) untouched: bool,
    /// No servicer saw it: it never left this process, or HTTP/2 says that the server did not take it.
    pub(super) unseen: bool,
    /// `Some(None)`: the server wants no retry.
    pub(super) pushback: Option<Option<Duration>>,
    /// The earliest time to come back.
    pub(super) retry_after: Option<Duration>,
}

impl Failed {
    /// `None` for success and for what would fail again. `service` is the called one: what another says of itself, whose
    /// error this one passes on, says nothing about this one. `timed`: the attempt had a time of its own, and its end
    /// looks the same wherever it was noticed.
    pub(super) fn of<B>(result: &Result<Response<B>, Failure>, service: &str, timed: bool) -> Option<Self> {
        match result {
            Err(failure) => passes(codes::code(failure.kind()), timed).then(|| Self::by_failure(failure)),
            Ok(response) => passes(observe::head_code(response)?, timed)
                .then(|| Self::by_headers(response.headers(), service))?,
        }
    }

    fn by_failure(failure: &Failure) -> Self {
        Self {
            untouched: failure.effect() == Effect::None,
            unseen: matches!(failure.reason(), UNSENT | REFUSED),
            pushback: None,
            retry_after: failure.retry_delay(),
        }
    }

    fn by_headers(headers: &HeaderMap, service: &str) -> Option<Self> {
        let details = Status::from_header_map(headers).map(|status| status.get_error_details());
        let info = details.as_ref().and_then(|details| details.error_info());
        if info.is_some_and(|info| info.reason == TOO_LARGE) {
            return None;
        }
        let none = codes::effect(Effect::None);
        let untouched = info.filter(|info| info.domain == service);
        let untouched =
            untouched.is_some_and(|info| info.metadata.get(EFFECT_KEY).is_some_and(|effect| effect == none));
        let retry_after = details.as_ref().and_then(|details| details.retry_info()?.retry_delay);
        let pushback = headers.get(PUSHBACK).map(|value| {
            let millis = value.to_str().ok()?.parse::<u32>().ok()?;
            Some(Duration::from_millis(millis.into()))
        });
        Some(Self { untouched, unseen: false, pushback, retry_after })
    }
}

/// Whether a failure of this code passes by itself. DEADLINE_EXCEEDED does only for attempts with a time of their own.
fn passes(code: Code, timed: bool) -> bool {
    match code {
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => true,
        Code::DeadlineExceeded => timed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::failure::{Kind, render};

    fn answer(headers: &[(&'static str, &'static str)]) -> Result<Response<()>, Failure> {
        let mut response = Response::new(());
        for (name, value) in headers {
            response.headers_mut().insert(*name, http::HeaderValue::from_static(value));
        }
        Ok(response)
    }

    fn read<B>(result: &Result<Response<B>, Failure>) -> Option<Failed> {
        Failed::of(result, "shop.v1.Items", false)
    }

    #[test]
    fn success_and_lasting_failures_are_left_alone() {
        for headers in [&[][..], &[("grpc-status", "0")], &[("grpc-status", "3")], &[("grpc-status", "13")]] {
            assert_eq!(read(&answer(headers)), None, "{headers:?}");
        }
        assert_eq!(read(&Err::<Response<()>, _>(Failure::invalid("a", "b"))), None);
    }

    #[test]
    fn the_server_says_whether_anything_happened_and_when_to_come_back() {
        for (domain, untouched) in [("shop.v1.Items", true), ("shop.v1.Stock", false), ("", false)] {
            let failure =
                Failure::new(Kind::Unavailable, "full").untouched().retry_after(Duration::from_secs(3));
            let (status, _) = render::finish(&render::status_of(&failure, domain), "", "r");
            let response: Response<tonic::body::Body> = status.into_http();
            let failed = read(&Ok::<_, Failure>(response)).expect("it passes");
            assert_eq!((failed.untouched, failed.unseen), (untouched, false), "{domain}");
            assert_eq!(failed.retry_after, Some(Duration::from_secs(3)));
        }
    }

    #[test]
    fn what_stays_as_it_is_does_not_pass() {
        let large = Failure::new(Kind::Overloaded, "too large").with_reason(TOO_LARGE);
        let response: Response<tonic::body::Body> = Status::from(large).into_http();
        assert_eq!(read(&Ok::<_, Failure>(response)), None);
        let late = answer(&[("grpc-status", "4")]);
        assert_eq!(read(&late), None);
        assert!(Failed::of(&late, "shop.v1.Items", true).is_some());
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
            let failed = read(&answer(&[("grpc-status", "14"), (PUSHBACK, value)])).expect("it passes");
            assert_eq!(failed.pushback, Some(expected), "{value}");
        }
    }

    #[test]
    fn proxies_speak_http() {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        assert!(read(&Ok::<_, Failure>(response)).is_some());
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
            let _ = read(&Ok::<_, Failure>(response));
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
            prop_assert!(read(&Ok::<_, Failure>(response)).is_some());
        }
    }
}
