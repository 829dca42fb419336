//! What a rule reports: where, what is wrong, what to do.

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// File, relative to the root of the workspace.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and after a semicolon what to do about it.
    pub message: String,
}

impl Violation {
    /// A violation at `path`:`line`.
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Fails the calling test with every violation on a line of its own.
///
/// # Panics
/// When there is at least one.
#[track_caller]
pub fn assert_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "{} violation(s):\n{}", lines.len(), lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_reads_as_a_place_an_editor_can_open() {
        let violation = Violation::new("domain/src/lib.rs", 3, "too long; split it");
        assert_eq!(violation.to_string(), "domain/src/lib.rs:3: too long; split it");
    }

    #[test]
    #[should_panic(expected = "1 violation(s):\na.rs:1: wrong")]
    fn a_violation_fails_the_test() {
        assert_none(&[Violation::new("a.rs", 1, "wrong")]);
    }
}
