//! The real time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hive_application::clock::{Clock, Timer};
use hive_domain::time::Timestamp;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }
}

/// Milliseconds after which a long wait looks at the clock again, which may have been set meanwhile.
const LOOK_AGAIN_MS: i64 = 60_000;

/// The timer of the runtime.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokioTimer;

#[async_trait]
impl Timer for TokioTimer {
    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.since(SystemClock.now());
            let Ok(wait @ 1..) = u64::try_from(left.min(LOOK_AGAIN_MS)) else { return };
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_it_should_and_not_before() {
        let start = SystemClock.now();
        TokioTimer.sleep_until(start.plus_ms(-5_000)).await;
        TokioTimer.sleep_until(start.plus_ms(20)).await;
        assert!(SystemClock.now().since(start) >= 20);
    }
}
