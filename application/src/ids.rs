//! Randomness as a port.

/// Makes identifiers and secrets that nobody can guess.
pub trait IdGenerator: Send + Sync {
    /// A random UUID (version 4), lower case, with hyphens.
    fn uuid(&self) -> String;
}
