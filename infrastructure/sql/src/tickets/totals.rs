//! How many tickets match a list. Counting costs time in proportion to what is counted, so a large number is counted only
//! now and then: as often as makes counting a small part of what lists cost.

use std::time::{Duration, Instant};

use hive_application::tickets::TicketFilter;
use quick_cache::sync::Cache;

/// Up to here, every list counts: it costs less than to read the page.
const EXACT: i64 = 1_000;

/// A number may be used for so many times as long as it took to count it.
const USES: u32 = 50;

/// How old a number may be, however long it took.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Filters whose number is remembered.
const FILTERS: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Total {
    count: i64,
    taken: Instant,
    /// How old it may be.
    age: Duration,
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
        if total.taken.elapsed() < total.age {
            return Some(total.count);
        }
        // Should that caller fail, another one counts.
        self.0.insert(filter.clone(), Total { taken: Instant::now(), ..total });
        None
    }

    /// Forgets everything: the database may not be the one that was counted.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Takes in what was counted in a statement that took so long, its wait included: a database that is busy is asked less.
    pub(super) fn learn(&self, filter: &TicketFilter, count: i64, took: Duration) {
        if count > EXACT {
            let age = took.saturating_mul(USES).min(MAX_AGE);
            self.0.insert(filter.clone(), Total { count, taken: Instant::now(), age });
        } else {
            self.0.remove(filter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than the test runs.
    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn only_large_numbers_are_remembered() {
        let (totals, filter) = (Totals::new(), TicketFilter::default());
        totals.learn(&filter, EXACT, LONG);
        assert_eq!(totals.get(&filter), None);
        totals.learn(&filter, EXACT + 1, LONG);
        assert_eq!(totals.get(&filter), Some(EXACT + 1));
        totals.learn(&filter, 3, LONG);
        assert_eq!(totals.get(&filter), None, "it became small");
    }

    #[test]
    fn what_is_counted_quickly_is_counted_often() {
        let (totals, filter) = (Totals::new(), TicketFilter::default());
        let age = |took| {
            totals.learn(&filter, EXACT + 1, took);
            totals.0.get(&filter).expect("it is large").age
        };
        assert_eq!(age(Duration::from_millis(2)), Duration::from_millis(100));
        assert_eq!(age(LONG), MAX_AGE);
    }

    #[test]
    fn one_caller_counts_again_what_is_old() {
        let (totals, filter) = (Totals::new(), TicketFilter::default());
        let long_ago = Instant::now().checked_sub(MAX_AGE).expect("the machine runs for longer");
        totals.0.insert(filter.clone(), Total { count: EXACT + 1, taken: long_ago, age: MAX_AGE });
        assert_eq!(totals.get(&filter), None);
        assert_eq!(totals.get(&filter), Some(EXACT + 1), "the others go on with the old number");
    }
}
