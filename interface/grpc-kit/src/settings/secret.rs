//! A text that is never printed.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::value::text;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Shorter than the hash it keys, or with so few different characters that it was typed, not drawn.
    pub(crate) fn is_weak(&self) -> bool {
        let distinct: HashSet<char> = self.0.chars().collect();
        self.0.len() < 32 || distinct.len() < 10
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}
