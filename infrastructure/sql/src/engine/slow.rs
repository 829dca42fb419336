//! What takes long on a database is told by its name, its time and its rows; never by its text.

use std::time::Duration;

/// From when on something is slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slow(pub(crate) Duration);

impl Slow {
    /// Tells of a statement, or of several that are one thing, if it was slow.
    pub(crate) fn tell(self, database: &'static str, statement: &'static str, took: Duration, rows: usize) {
        if took >= self.0 {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(database, statement, milliseconds, rows, "slow statement");
        }
    }
}

/// An answer that has rows.
pub(crate) trait Rows {
    /// How many.
    fn rows(&self) -> usize;
}

impl<T> Rows for Vec<T> {
    fn rows(&self) -> usize {
        self.len()
    }
}

impl<T> Rows for Option<T> {
    fn rows(&self) -> usize {
        usize::from(self.is_some())
    }
}

impl Rows for (i64, i64, i64) {
    fn rows(&self) -> usize {
        1
    }
}
