//! How often tokens from one place may turn out to be invalid. To find that out costs a signature, as often as a caller
//! likes: who is refused is not known, and has no allowance of its own.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::origin::Origin;

/// Places remembered at most; more displace those that failed least.
const PLACES: usize = 16_384;

const MINUTE: u64 = 60_000_000_000;

/// An allowance of failures for each place: those of a minute at once, and back in even steps.
pub(super) struct Failures {
    /// Nanoseconds until one failure is allowed again.
    every: u64,
    began: Instant,
    /// When a place has its whole allowance back, in nanoseconds from the beginning.
    restored: Cache<Origin, Arc<AtomicU64>>,
}

impl Failures {
    /// `None` without a limit.
    pub(super) fn new(per_minute: u32) -> Option<Self> {
        let every = MINUTE.checked_div(u64::from(per_minute))?;
        Some(Self { every, began: Instant::now(), restored: Cache::new(PLACES) })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long this place has to wait before it may fail once more; `None` when it may now.
    pub(super) fn wait(&self, origin: Origin) -> Option<Duration> {
        let restored = self.restored.get(&origin)?.load(Ordering::Relaxed);
        let wait = (restored.saturating_add(self.every)).saturating_sub(self.now().saturating_add(MINUTE));
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// Counts a failure.
    pub(super) fn count(&self, origin: Origin) {
        let restored =
            self.restored.get_or_insert_with(&origin, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let (Ok(restored), now) = (restored, self.now());
        let later = |restored: u64| Some(restored.max(now).saturating_add(self.every));
        // It cannot fail: there always is a later time.
        let _ = restored.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("every", &Duration::from_nanos(self.every)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::V4(1);

    #[tokio::test(start_paused = true)]
    async fn a_place_has_a_minute_s_failures_at_once_and_gets_them_back_one_by_one() {
        let failures = Failures::new(60).expect("a limit");
        for failed in 0..60 {
            assert_eq!(failures.wait(HERE), None, "{failed}");
            failures.count(HERE);
        }
        assert_eq!(failures.wait(HERE), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait(Origin::V6(1)), None, "another place");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(failures.wait(HERE), None);
        failures.count(HERE);
        assert_eq!(failures.wait(HERE), Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(3600)).await;
        for _ in 0..60 {
            assert_eq!(failures.wait(HERE), None);
            failures.count(HERE);
        }
        assert_eq!(failures.wait(HERE), Some(Duration::from_secs(1)), "no more than a minute's");
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_remember() {
        assert!(Failures::new(0).is_none());
    }

    #[test]
    fn as_many_places_as_there_are_addresses_are_not_remembered() {
        let failures = Failures::new(1).expect("a limit");
        (0..100_000).for_each(|place| failures.count(Origin::V4(place)));
        assert!(failures.restored.len() <= PLACES);
    }
}
