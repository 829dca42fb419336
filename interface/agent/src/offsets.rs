//! How far an agent came in the log: up to the last place before which everything is dealt with.

use std::collections::BTreeSet;

/// Places in the log that are being dealt with, and the place up to which all are.
#[derive(Debug)]
pub(crate) struct Offsets {
    seen: u64,
    open: BTreeSet<u64>,
    committed: u64,
}

impl Offsets {
    pub(crate) fn new(committed: u64) -> Self {
        Offsets { seen: committed, open: BTreeSet::new(), committed }
    }

    /// The last place looked at.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Begins to deal with a change.
    pub(crate) fn begin(&mut self, offset: u64) {
        self.seen = self.seen.max(offset);
        self.open.insert(offset);
    }

    /// A change is dealt with.
    pub(crate) fn done(&mut self, offset: u64) {
        self.seen = self.seen.max(offset);
        self.open.remove(&offset);
    }

    /// The place to remember now, if it moved since the last one remembered.
    pub(crate) fn next_commit(&mut self) -> Option<u64> {
        let reached = self.open.first().map_or(self.seen, |open| open - 1);
        (reached > self.committed).then(|| {
            self.committed = reached;
            reached
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_open_is_passed_over() {
        let mut offsets = Offsets::new(3);
        assert_eq!(offsets.next_commit(), None);
        offsets.begin(5);
        offsets.begin(9);
        offsets.done(9);
        assert_eq!(offsets.next_commit(), Some(4));
        offsets.done(11);
        assert_eq!(offsets.next_commit(), None);
        offsets.done(5);
        assert_eq!(offsets.next_commit(), Some(11));
        assert_eq!(offsets.next_commit(), None);
    }
}
