//! How many retries a target gets: a share of its calls, so that a target that fails is not asked much more often than
//! one that works.

use std::sync::atomic::{AtomicU32, Ordering};

/// Tokens are counted in thousandths, so that every call can pay in its share.
const TOKEN: u32 = 1000;

/// A bucket that calls pay into and retries take from.
#[derive(Debug)]
pub(crate) struct Budget {
    balance: AtomicU32,
    share: u32,
    most: u32,
}

impl Budget {
    /// Every call pays `ratio` of a retry; at most `burst` retries are saved, which it begins with.
    pub(crate) fn new(ratio: f64, burst: u32) -> Self {
        // At least one whole retry fits in, or a share would never add up to one.
        let most = if ratio > 0.0 { burst.max(1) } else { burst } * TOKEN;
        Self { balance: AtomicU32::new(burst * TOKEN), share: (ratio * f64::from(TOKEN)) as u32, most }
    }

    /// A call was made.
    pub(crate) fn deposit(&self) {
        let paid = |balance: u32| Some(balance.saturating_add(self.share).min(self.most));
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
    }

    /// Takes a retry out, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        let taken = |balance: u32| balance.checked_sub(TOKEN);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_never_exceed_the_share_and_the_burst(
            ratio in 0.0..=1.0_f64,
            burst in 0_u32..20,
            steps in proptest::collection::vec(any::<bool>(), 0..500),
        ) {
            let budget = Budget::new(ratio, burst);
            let (mut calls, mut retries) = (0_u32, 0_u32);
            for call in steps {
                if call {
                    budget.deposit();
                    calls += 1;
                } else {
                    retries += u32::from(budget.withdraw());
                }
                prop_assert!(f64::from(retries) <= f64::from(burst) + f64::from(calls) * ratio + 1e-6);
            }
        }
    }

    #[test]
    fn shares_add_up() {
        let budget = Budget::new(0.25, 0);
        assert!(!budget.withdraw());
        (0..4).for_each(|_| budget.deposit());
        assert!(budget.withdraw() && !budget.withdraw());
    }
}
