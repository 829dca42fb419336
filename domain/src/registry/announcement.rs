//! What an agent says about itself when it registers: checked, with defaults filled in.

use std::collections::BTreeMap;
use std::fmt;

use super::capability::Capabilities;
use super::error::RegistryError;
use super::metadata::Metadata;
use super::status::AgentType;
use super::telemetry::AgentTelemetry;
use super::token::RegistrationToken;
use crate::ids::{AgentId, check_id};

/// A registration as it arrives, unchecked. Empty texts mean "the default".
#[derive(Clone)]
pub struct AnnouncementDraft {
    /// What the agent is for.
    pub agent_type: AgentType,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Free texts; `agent_id` asks for an id, `registration_token` proves an earlier registration.
    pub metadata: BTreeMap<String, String>,
    /// Default `default`.
    pub namespace: String,
    /// Default `local`.
    pub cluster: String,
    /// The agent's own version; default `1.0.0`.
    pub version: String,
    /// Figures it starts with.
    pub telemetry: Option<AgentTelemetry>,
}

impl fmt::Debug for AnnouncementDraft {
    /// Leaves out the metadata, which may still hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnouncementDraft")
            .field("agent_type", &self.agent_type)
            .field("capabilities", &self.capabilities)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A checked registration.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    pub(super) agent_type: AgentType,
    pub(super) capabilities: Capabilities,
    pub(super) metadata: Metadata,
    pub(super) namespace: String,
    pub(super) cluster: String,
    pub(super) version: String,
    pub(super) telemetry: AgentTelemetry,
    requested_id: Option<AgentId>,
    token: Option<RegistrationToken>,
}

const MAX_TEXT_CHARS: usize = 255;

impl Announcement {
    /// Checks every field; an error names the first bad one.
    pub fn check(draft: AnnouncementDraft) -> Result<Self, RegistryError> {
        let capabilities = Capabilities::parse("capabilities", draft.capabilities)?;
        if capabilities.is_empty() {
            return Err(RegistryError::invalid("capabilities", "must have at least one entry"));
        }
        let (metadata, token) = Metadata::parse(draft.metadata)?;
        Ok(Self {
            agent_type: draft.agent_type,
            capabilities,
            requested_id: metadata.agent_id()?,
            metadata,
            namespace: text_or("namespace", draft.namespace, "default")?,
            cluster: text_or("cluster", draft.cluster, "local")?,
            version: text_or("version", draft.version, "1.0.0")?,
            telemetry: draft.telemetry.unwrap_or_default().check()?,
            token,
        })
    }

    /// The id the agent asks for in its metadata.
    pub fn requested_id(&self) -> Option<&AgentId> {
        self.requested_id.as_ref()
    }

    /// The token that came with the metadata.
    pub fn token(&self) -> Option<&RegistrationToken> {
        self.token.as_ref()
    }
}

fn text_or(field: &str, text: String, default: &str) -> Result<String, RegistryError> {
    if text.is_empty() {
        return Ok(default.to_owned());
    }
    check_id(&text, MAX_TEXT_CHARS).map_err(|e| RegistryError::id(field, &e))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> AnnouncementDraft {
        AnnouncementDraft {
            agent_type: AgentType::Worker,
            capabilities: vec!["read".into()],
            metadata: BTreeMap::from([("agent_id".into(), "w-1".into())]),
            namespace: String::new(),
            cluster: String::new(),
            version: String::new(),
            telemetry: None,
        }
    }

    #[test]
    fn empty_texts_take_the_defaults() {
        let checked = Announcement::check(draft()).unwrap();
        assert_eq!(
            (&*checked.namespace, &*checked.cluster, &*checked.version),
            ("default", "local", "1.0.0")
        );
        assert_eq!(checked.requested_id().unwrap().as_str(), "w-1");
        assert_eq!(checked.telemetry, AgentTelemetry::default());
    }

    #[test]
    fn each_bad_field_is_named() {
        let long = "x".repeat(256);
        let negative = AgentTelemetry { total_executions: -1, ..AgentTelemetry::default() };
        let cases = [
            ("capabilities must have at least one", AnnouncementDraft { capabilities: vec![], ..draft() }),
            ("capabilities[0]", AnnouncementDraft { capabilities: vec!["\n".into()], ..draft() }),
            ("namespace", AnnouncementDraft { namespace: long.clone(), ..draft() }),
            ("cluster", AnnouncementDraft { cluster: "\0".into(), ..draft() }),
            ("version", AnnouncementDraft { version: long.clone(), ..draft() }),
            ("telemetry.total_executions", AnnouncementDraft { telemetry: Some(negative), ..draft() }),
            (
                "metadata.agent_id",
                AnnouncementDraft { metadata: BTreeMap::from([("agent_id".into(), long)]), ..draft() },
            ),
        ];
        for (expected, bad) in cases {
            let refused = Announcement::check(bad).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn a_draft_with_a_token_does_not_print_it() {
        let metadata = BTreeMap::from([("registration_token".to_owned(), "s3cret".to_owned())]);
        let with_token = AnnouncementDraft { metadata, ..draft() };
        assert!(!format!("{with_token:?}").contains("s3cret"));
        let checked = Announcement::check(with_token).unwrap();
        assert!(!format!("{checked:?}").contains("s3cret"));
        assert_eq!(checked.token(), Some(&RegistrationToken::new("s3cret")));
    }
}
