//! Waits that grow with every failure, drawn at random from zero up ("full jitter"), so that clients that failed
//! together do not come back together.

use std::time::Duration;

/// How long to wait at most: `base` before the first retry, `multiplier` times more each time, never above `max`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// Before the first.
    pub(crate) base: Duration,
    /// Ever.
    pub(crate) max: Duration,
    /// At least 1.
    pub(crate) multiplier: f64,
}

impl Backoff {
    /// The longest wait before retry `number`, counted from 0.
    pub(crate) fn longest(&self, number: u32) -> Duration {
        let factor = self.multiplier.powi(i32::try_from(number).unwrap_or(i32::MAX));
        let grown = self.base.as_secs_f64() * factor;
        let capped = grown.min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(capped).unwrap_or(self.max)
    }

    /// A wait before retry `number`, counted from 0.
    pub(crate) fn wait(&self, number: u32) -> Duration {
        self.longest(number).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_grow_within_their_bounds(
            base in 0_u64..100_000,
            max in 0_u64..1_000_000,
            multiplier in 1.0..=100.0_f64,
            number in 0_u32..2_000,
        ) {
            let backoff = Backoff {
                base: Duration::from_millis(base.min(max)),
                max: Duration::from_millis(max),
                multiplier,
            };
            let longest = backoff.longest(number);
            prop_assert!(longest <= backoff.max);
            prop_assert!(longest <= backoff.longest(number + 1));
            prop_assert!(backoff.wait(number) <= longest);
        }
    }

    #[test]
    fn the_first_waits_are_the_configured_ones() {
        let second = Duration::from_secs(1);
        let backoff = Backoff { base: second, max: 5 * second, multiplier: 2.0 };
        assert_eq!(
            [0, 1, 2, 3].map(|number| backoff.longest(number)),
            [second, 2 * second, 4 * second, 5 * second]
        );
    }

    #[test]
    fn waits_are_spread_from_zero() {
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(1), multiplier: 1.0 };
        let waits: Vec<_> = (0..200).map(|_| backoff.wait(0)).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(250)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(750)));
    }
}
