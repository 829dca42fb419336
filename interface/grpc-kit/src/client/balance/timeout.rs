//! The time an attempt has, as its server is told.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::{
    failure::{Failure, Kind},
    layer::deadline::TIMEOUT_HEADER,
};

/// Writes the time left less the margin, at most a tenth of it.
///
/// # Errors
/// When there is none left.
pub(super) fn write(deadline: Instant, margin: Duration, headers: &mut HeaderMap) -> Result<(), Failure> {
    let left = deadline.duration_since(Instant::now());
    if left.is_zero() {
        return Err(Failure::new(Kind::DeadlineExceeded, "the call's time is up").untouched());
    }
    headers.insert(TIMEOUT_HEADER, value(left - margin.min(left / 10)));
    Ok(())
}

/// At most eight digits and a unit (gRPC over HTTP/2, "Timeout"), in the finest unit that has room.
fn value(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let text = match (left.as_micros(), left.as_millis(), left.as_secs()) {
        (micros, _, _) if micros <= MOST => format!("{}u", micros.max(1)),
        (_, millis, _) if millis <= MOST => format!("{millis}m"),
        (_, _, seconds) => format!("{}S", seconds.min(MOST as u64)),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("1u"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer::deadline::parse;

    #[tokio::test(start_paused = true)]
    async fn the_server_gets_the_time_left_less_a_margin() {
        let margin = Duration::from_millis(20);
        for (left, expected) in [(1000, 980), (100, 90)] {
            let mut headers = HeaderMap::new();
            write(Instant::now() + Duration::from_millis(left), margin, &mut headers).expect("in time");
            let timeout = parse(headers[TIMEOUT_HEADER].as_bytes()).expect("a timeout");
            assert_eq!(timeout, Duration::from_millis(expected));
        }
        let late = write(Instant::now(), margin, &mut HeaderMap::new()).expect_err("too late");
        assert_eq!(late.kind(), Kind::DeadlineExceeded);
    }

    proptest! {
        #[test]
        fn timeouts_are_read_as_they_were_written(nanos in 1_u64..90_000_000_000_000_000) {
            let left = Duration::from_nanos(nanos);
            let read = parse(value(left).as_bytes()).expect("by the protocol");
            prop_assert!(read <= left.max(Duration::from_micros(1)));
            prop_assert!(read.as_secs_f64() >= left.as_secs_f64() * 0.999_98 - 1e-6);
        }
    }
}
