//! Admits an agent: a new one, or the next incarnation of a known one.

use std::sync::Arc;

use hive_domain::ids::AgentId;
use hive_domain::registry::{
    Agent, Announcement, AnnouncementDraft, Claim, RegistrationToken, RegistryError, TokenHash, TokenIssue,
};
use hive_domain::time::Timestamp;

use super::AgentWriter;
use super::observer::Operation;
use crate::context::CallContext;
use crate::error::{Error, invalid_id};
use crate::ids::IdGenerator;

/// A registration.
#[derive(Debug, Clone)]
pub struct RegisterAgentCommand {
    /// What the agent says about itself; `metadata.agent_id` is the id it wants.
    pub announcement: AnnouncementDraft,
    /// Why it may have an id that is held. With `Claim::None` a `metadata.registration_token` counts as the claim.
    pub claim: Claim,
}

/// An admitted agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id: the one it asked for, else a random UUID.
    pub agent_id: AgentId,
    /// Its incarnation.
    pub epoch: u64,
    /// What it shows to register again while it lives. Told only here.
    pub token: RegistrationToken,
    /// When this incarnation began.
    pub registered_at: Timestamp,
}

/// Admits agents.
#[derive(Clone)]
pub struct RegisterAgent {
    writer: AgentWriter,
    ids: Arc<dyn IdGenerator>,
}

impl RegisterAgent {
    pub(super) fn new(writer: AgentWriter, ids: Arc<dyn IdGenerator>) -> Self {
        RegisterAgent { writer, ids }
    }

    /// Registers the agent. `InvalidArgument` names a bad field; `PermissionDenied` (`AGENT_ID_HELD`) when the id
    /// belongs to a living agent and the claim does not prove to be it.
    pub async fn execute(
        &self,
        context: &CallContext,
        command: RegisterAgentCommand,
    ) -> Result<Registration, Error> {
        context.must_be_service()?;
        let announcement = Announcement::check(command.announcement)?;
        let claim = match (command.claim, announcement.token()) {
            (Claim::None, Some(token)) => Claim::Token(token.clone()),
            (claim, _) => claim,
        };
        let id = match announcement.requested_id() {
            Some(id) => id.clone(),
            None => AgentId::parse(&self.ids.uuid()).map_err(invalid_id("agent_id"))?,
        };
        let fresh = RegistrationToken::new(format!("token-{}", self.ids.uuid()));
        let hash = TokenHash::of(&fresh);
        let (now, terms) = (self.writer.clock.now(), self.writer.terms);

        let mut issue = TokenIssue::Fresh;
        let mut change = |known: Option<Agent>| -> Result<Agent, RegistryError> {
            let announcement = announcement.clone();
            let Some(mut agent) = known else {
                let (token, kept) = claim.token_or(hash);
                issue = kept;
                return Ok(Agent::register(id.clone(), announcement, token, now));
            };
            issue = agent.register_again(announcement, &claim, hash, now, &terms)?;
            Ok(agent)
        };
        let agent = self.writer.answer(Operation::Register, &id, &mut change).await?;
        let token = match (issue, claim) {
            (TokenIssue::Kept, Claim::Token(shown)) => shown,
            _ => fresh,
        };
        tracing::info!(agent_id = %id, epoch = agent.epoch, caller = %context.principal, "agent {id} registered");
        Ok(Registration { agent_id: id, epoch: agent.epoch, token, registered_at: agent.registered_at })
    }
}

impl std::fmt::Debug for RegisterAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisterAgent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, draft, now_or_never};
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_id_is_the_wanted_one_or_a_random_one() {
        let fixture = Fixture::new();
        let wanted = fixture.register(draft("w-1"));
        assert_eq!((wanted.agent_id.as_str(), wanted.epoch), ("w-1", 1));
        let mut anonymous = draft("x");
        anonymous.metadata.clear();
        let (a, b) = (fixture.register(anonymous.clone()), fixture.register(anonymous));
        assert_ne!(a.agent_id, b.agent_id);
        assert_ne!(a.token, b.token);
    }

    #[test]
    fn a_held_id_takes_its_token_and_the_token_lasts() {
        let fixture = Fixture::new();
        let first = fixture.register(draft("w-1"));
        let attempt = |claim| {
            let command = RegisterAgentCommand { announcement: draft("w-1"), claim };
            now_or_never(fixture.registry.register.execute(&fixture.context, command))
        };
        for claim in [Claim::None, Claim::Token(RegistrationToken::new("guess"))] {
            let refused = attempt(claim).unwrap_err();
            assert_eq!((refused.kind(), refused.reason()), (ErrorKind::PermissionDenied, "AGENT_ID_HELD"));
        }
        let second = attempt(Claim::Token(first.token.clone())).unwrap();
        assert_eq!((second.epoch, &second.token), (2, &first.token));

        let mut in_metadata = draft("w-1");
        in_metadata.metadata.insert("registration_token".into(), first.token.reveal().into());
        assert_eq!(fixture.register(in_metadata).epoch, 3);

        let by_host = attempt(Claim::Host).unwrap();
        assert_eq!(by_host.epoch, 4);
        assert_ne!(by_host.token, first.token);
        assert!(attempt(Claim::Token(first.token)).is_err(), "the former token is void");
    }

    #[test]
    fn a_bad_field_is_named() {
        let fixture = Fixture::new();
        let announcement = AnnouncementDraft { capabilities: vec![], ..draft("w-1") };
        let command = RegisterAgentCommand { announcement, claim: Claim::None };
        let refused = now_or_never(fixture.registry.register.execute(&fixture.context, command)).unwrap_err();
        assert_eq!((refused.kind(), refused.field()), (ErrorKind::InvalidArgument, Some("capabilities")));
    }
}
