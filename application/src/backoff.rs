//! Waiting between attempts: longer each time, up to a bound, and not in step with others that failed at the same time.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The waits between attempts at one thing.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ms: i64,
    longest_ms: i64,
    next_ms: i64,
    spread: u64,
}

impl Backoff {
    /// Begins at `first_ms` and doubles up to `longest_ms`. `of` names what is attempted: others wait other times.
    pub fn new(first_ms: i64, longest_ms: i64, of: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        Backoff { first_ms, longest_ms, next_ms: first_ms, spread: hasher.finish() }
    }

    /// Milliseconds to wait now: between half of what it has grown to and all of it.
    pub fn wait_ms(&mut self) -> i64 {
        let whole = self.next_ms.max(0);
        self.next_ms = whole.saturating_mul(2).min(self.longest_ms);
        let mut hasher = DefaultHasher::new();
        self.spread.hash(&mut hasher);
        self.spread = hasher.finish();
        let half = whole.unsigned_abs() / 2;
        whole - i64::try_from(self.spread % (half + 1)).unwrap_or(0)
    }

    /// What was attempted held out: the next wait is a first one.
    pub fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(100, 1_000, &"flow");
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let wait = backoff.wait_ms();
            assert!((whole / 2..=whole).contains(&wait), "{wait} of {whole}");
        }
        backoff.reset();
        assert!(backoff.wait_ms() <= 100);
    }

    #[test]
    fn two_do_not_wait_in_step() {
        let mut waits =
            (0..8).map(|number| Backoff::new(10_000, 10_000, &number).wait_ms()).collect::<Vec<_>>();
        waits.sort_unstable();
        waits.dedup();
        assert_eq!(waits.len(), 8);
    }
}
