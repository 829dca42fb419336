//! How many tickets match a list. Counting costs time in proportion to what is counted, so a large number is counted
//! only now and then.

use std::time::{Duration, Instant};

use hive_application::tickets::TicketFilter;
use quick_cache::sync::Cache;

/// Up to here, every list counts. Beyond it nobody counts along.
const EXACT: i64 = 10_000;

/// How old a large number may be.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Filters whose number is remembered.
const FILTERS: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Total {
    count: i64,
    taken: Instant,
}

/// The large numbers that were counted lately.
#[derive(Debug)]
pub(super) struct Totals(Cache<TicketFilter, Total>);

impl Totals {
    pub(super) fn new() -> Self {
        Totals(Cache::new(FILTERS))
    }

    /// The number, if it need not be counted now. One caller at a time is told to count again what is out of date.
    pub(super) fn get(&self, filter: &TicketFilter) -> Option<i64> {
        let total = self.0.get(filter)?;
        if total.taken.elapsed() < MAX_AGE {
            return Some(total.count);
        }
        self.0.insert(filter.clone(), Total { taken: Instant::now(), ..total });
        None
    }

    /// Forgets everything: the database may not be the one that was counted.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Takes in what was counted.
    pub(super) fn learn(&self, filter: &TicketFilter, count: i64) {
        if count > EXACT {
            self.0.insert(filter.clone(), Total { count, taken: Instant::now() });
        } else {
            self.0.remove(filter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_numbers_are_remembered() {
        let (totals, filter) = (Totals::new(), TicketFilter::default());
        totals.learn(&filter, EXACT);
        assert_eq!(totals.get(&filter), None);
        totals.learn(&filter, EXACT + 1);
        assert_eq!(totals.get(&filter), Some(EXACT + 1));
        totals.learn(&filter, 3);
        assert_eq!(totals.get(&filter), None, "it became small");
    }

    #[test]
    fn one_caller_counts_again_what_is_old() {
        let (totals, filter) = (Totals::new(), TicketFilter::default());
        let long_ago = Instant::now().checked_sub(MAX_AGE).expect("the machine runs for longer");
        totals.0.insert(filter.clone(), Total { count: EXACT + 1, taken: long_ago });
        assert_eq!(totals.get(&filter), None);
        assert_eq!(totals.get(&filter), Some(EXACT + 1), "the others go on with the old number");
    }
}
