//! What an agent can do: a set of words, compared exactly.

use std::collections::BTreeSet;

use super::error::RegistryError;
use crate::ids::check_id;

/// A bounded set of capabilities; may be empty, as when a search requires none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities(BTreeSet<String>);

impl Capabilities {
    /// Capabilities an agent may announce, or a search require.
    pub const MAX: usize = 256;
    /// Characters of one capability.
    pub const MAX_CHARS: usize = 255;

    /// Checks each word; an error names `field` with the index of the word.
    pub fn parse<I>(field: &str, words: I) -> Result<Self, RegistryError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut set = BTreeSet::new();
        for (index, word) in words.into_iter().enumerate() {
            let word = word.into();
            check_id(&word, Self::MAX_CHARS)
                .map_err(|e| RegistryError::id(format!("{field}[{index}]"), &e))?;
            set.insert(word);
            if set.len() > Self::MAX {
                return Err(RegistryError::invalid(
                    field,
                    format!("must have at most {} entries", Self::MAX),
                ));
            }
        }
        Ok(Self(set))
    }

    /// Whether every word of `required` is here.
    pub fn covers(&self, required: &Self) -> bool {
        required.0.is_subset(&self.0)
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covers_is_the_subset_relation() {
        let can = Capabilities::parse("capabilities", ["read", "write", "read"]).unwrap();
        let needs = |words: &[&str]| Capabilities::parse("capabilities", words.iter().copied()).unwrap();
        assert!(can.covers(&needs(&[])));
        assert!(can.covers(&needs(&["write"])));
        assert!(!can.covers(&needs(&["write", "deploy"])));
        assert!(!can.covers(&needs(&["READ"])), "compared exactly");
        assert_eq!(can.iter().collect::<Vec<_>>(), ["read", "write"]);
    }

    #[test]
    fn bounds_name_the_entry() {
        let refused = Capabilities::parse("capabilities", ["read", ""]).unwrap_err();
        assert_eq!(refused, RegistryError::invalid("capabilities[1]", "must not be empty"));
        let many = (0..=Capabilities::MAX).map(|n| n.to_string());
        assert!(Capabilities::parse("capabilities", many).is_err());
        let repeated = std::iter::repeat_n("same", 1_000);
        assert_eq!(Capabilities::parse("capabilities", repeated).unwrap().iter().len(), 1);
    }
}
