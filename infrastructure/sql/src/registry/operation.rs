//! What callers queue for the writer.

use hive_application::error::Error;
use hive_domain::time::Timestamp;

use super::mapping::COLUMNS;
use crate::engine::rows;
use crate::statement::Cell;

/// One write.
#[derive(Debug)]
pub(super) enum Operation {
    /// A record nobody has.
    Insert([Cell; COLUMNS.len()]),
    /// The record whose revision is `expected`.
    Replace { expected: u64, row: [Cell; COLUMNS.len()] },
    /// Records retired before this are deleted, so many at most.
    Forget { retired_before: Timestamp, limit: usize },
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Answer {
    /// Whether it was written: somebody else was there before otherwise.
    Written(bool),
    Forgotten(u64),
}

impl Operation {
    /// The agent whose record it writes; of [`Operation::Forget`], none.
    pub(super) fn agent(&self) -> Option<&str> {
        match self {
            // The id is the first of the columns.
            Operation::Insert(row) | Operation::Replace { row, .. } => row.first().and_then(Cell::text),
            Operation::Forget { .. } => None,
        }
    }

    /// Refuses what PostgreSQL cannot store, by the name of the field.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self {
            Operation::Insert(row) | Operation::Replace { row, .. } => rows::refuse_nul(COLUMNS, row),
            Operation::Forget { .. } => Ok(()),
        }
    }
}
