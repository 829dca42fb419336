//! The free texts an agent announces about itself, and the few keys the registry reads.

use std::collections::BTreeMap;

use super::error::RegistryError;
use super::token::RegistrationToken;
use crate::ids::{AgentId, check_id};

/// A bounded map of texts. Holds no secret: a registration token in it is taken out when it is parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Entries an agent may announce.
    pub const MAX: usize = 64;
    /// Characters of a key.
    pub const MAX_KEY_CHARS: usize = 255;
    /// Bytes of a value.
    pub const MAX_VALUE_BYTES: usize = 4_096;

    const AGENT_ID: &'static str = "agent_id";
    const TOKEN: &'static str = "registration_token";
    const SECURITY_LEVEL: &'static str = "security_level";
    const MAX_CONCURRENT_TASKS: &'static str = "max_concurrent_tasks";
    const DEFAULT_SECURITY_LEVEL: &'static str = "INTERNAL";

    /// Checks the sizes and takes out the registration token, if there is one.
    pub fn parse(
        mut entries: BTreeMap<String, String>,
    ) -> Result<(Self, Option<RegistrationToken>), RegistryError> {
        let token = entries.remove(Self::TOKEN).map(RegistrationToken::new);
        if entries.len() > Self::MAX {
            return Err(RegistryError::invalid(
                "metadata",
                format!("must have at most {} entries", Self::MAX),
            ));
        }
        for (key, value) in &entries {
            check_id(key, Self::MAX_KEY_CHARS).map_err(|e| RegistryError::id("metadata key", &e))?;
            if value.len() > Self::MAX_VALUE_BYTES {
                let problem = format!("must have at most {} bytes", Self::MAX_VALUE_BYTES);
                return Err(RegistryError::invalid(format!("metadata.{key}"), problem));
            }
        }
        Ok((Self(entries), token))
    }

    /// The map as it was stored, unchecked.
    pub fn restore(entries: BTreeMap<String, String>) -> Self {
        Self(entries)
    }

    /// All entries.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The id the agent asks for.
    pub(super) fn agent_id(&self) -> Result<Option<AgentId>, RegistryError> {
        let text = self.0.get(Self::AGENT_ID);
        text.map(|id| AgentId::parse(id).map_err(|e| RegistryError::id("metadata.agent_id", &e))).transpose()
    }

    /// What the agent may work on; `INTERNAL` unless it says otherwise.
    pub fn security_level(&self) -> &str {
        self.0.get(Self::SECURITY_LEVEL).map_or(Self::DEFAULT_SECURITY_LEVEL, String::as_str)
    }

    /// Tickets the agent takes at a time; `None` when it does not say so in digits.
    pub fn max_concurrent_tasks(&self) -> Option<u32> {
        self.0.get(Self::MAX_CONCURRENT_TASKS).and_then(|text| text.trim().parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Result<(Metadata, Option<RegistrationToken>), RegistryError> {
        Metadata::parse(entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn the_keys_the_registry_reads() {
        let (none, token) = parse(&[]).unwrap();
        assert_eq!(
            (none.security_level(), none.max_concurrent_tasks(), none.agent_id()),
            ("INTERNAL", None, Ok(None))
        );
        assert!(token.is_none());
        let (some, _) =
            parse(&[("security_level", "PUBLIC"), ("max_concurrent_tasks", "10"), ("agent_id", "w-1")])
                .unwrap();
        assert_eq!((some.security_level(), some.max_concurrent_tasks()), ("PUBLIC", Some(10)));
        assert_eq!(some.agent_id().unwrap().unwrap().as_str(), "w-1");
        let (odd, _) = parse(&[("max_concurrent_tasks", "many")]).unwrap();
        assert_eq!(odd.max_concurrent_tasks(), None);
    }

    #[test]
    fn a_token_does_not_stay() {
        let (metadata, token) = parse(&[("registration_token", "s3cret"), ("zone", "a")]).unwrap();
        assert_eq!(token, Some(RegistrationToken::new("s3cret")));
        assert!(!format!("{metadata:?}{token:?}").contains("s3cret"));
        assert_eq!(metadata.entries().keys().collect::<Vec<_>>(), ["zone"]);
    }

    #[test]
    fn bounds_name_the_key() {
        let long = "x".repeat(Metadata::MAX_VALUE_BYTES + 1);
        assert!(
            parse(&[("zone", &long)]).unwrap_err().to_string().starts_with("metadata.zone must have at most")
        );
        assert!(parse(&[("", "x")]).is_err());
        let many = (0..=Metadata::MAX).map(|n| (n.to_string(), String::new())).collect();
        assert!(Metadata::parse(many).is_err());
        let (empty_id, _) = parse(&[("agent_id", "")]).unwrap();
        assert_eq!(
            empty_id.agent_id(),
            Err(RegistryError::invalid("metadata.agent_id", "must not be empty"))
        );
    }
}
