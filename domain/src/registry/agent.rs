//! The agent: one registered executor through its incarnations. Every rule about its life is here.

use super::announcement::Announcement;
use super::capability::Capabilities;
use super::error::RegistryError;
use super::lease::{LeaseState, LeaseTerms};
use super::metadata::Metadata;
use super::public::{AgentChange, AgentChangeKind, AgentSnapshot};
use super::status::{AgentStatus, AgentType};
use super::telemetry::AgentTelemetry;
use super::token::{Claim, TokenHash};
use crate::ids::AgentId;
use crate::time::Timestamp;

/// A registered executor.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    record: AgentRecord,
    changes: Vec<AgentChangeKind>,
}

/// Everything about an agent that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRecord {
    /// Which agent.
    pub agent_id: AgentId,
    /// What it is for.
    pub agent_type: AgentType,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What else it says about itself.
    pub metadata: Metadata,
    /// Its last figures.
    pub telemetry: AgentTelemetry,
    /// What the figures, or a lost lease, make of it.
    pub status: AgentStatus,
    /// Start of this incarnation.
    pub registered_at: Timestamp,
    /// When it was last heard from.
    pub last_seen: Timestamp,
    /// Where it works.
    pub namespace: String,
    /// The cluster it runs in.
    pub cluster: String,
    /// The version of its software.
    pub version: String,
    /// Shape of this record.
    pub schema_version: i32,
    /// The incarnation, from 1. Never reused, not even after a removal.
    pub epoch: u64,
    /// Proof of ownership, hashed.
    pub token_hash: TokenHash,
    /// When its lease was found to have run out; `None` while it lives.
    pub expired_at: Option<Timestamp>,
    /// When it was deregistered or removed. Kept for a while so that the next incarnation gets a higher epoch.
    pub retired_at: Option<Timestamp>,
    /// Counts the changes of this record, from 1: the expected version of a write, and the order of its events.
    pub revision: u64,
}

/// Which token is valid after a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenIssue {
    /// The new one.
    Fresh,
    /// The one the caller showed, so that a repeated request stays possible.
    Kept,
}

impl Agent {
    /// Version of the stored shape.
    pub const SCHEMA_VERSION: i32 = 1;

    /// The first incarnation of an agent nobody knows.
    pub fn register(id: AgentId, announcement: Announcement, token: TokenHash, now: Timestamp) -> Self {
        let record = AgentRecord {
            agent_id: id,
            agent_type: announcement.agent_type,
            status: announcement.telemetry.status(),
            capabilities: announcement.capabilities,
            metadata: announcement.metadata,
            telemetry: announcement.telemetry,
            registered_at: now,
            last_seen: now,
            namespace: announcement.namespace,
            cluster: announcement.cluster,
            version: announcement.version,
            schema_version: Self::SCHEMA_VERSION,
            epoch: 1,
            token_hash: token,
            expired_at: None,
            retired_at: None,
            revision: 1,
        };
        Self { record, changes: vec![AgentChangeKind::Registered] }
    }

    /// The next incarnation. While the agent lives this takes its token (or being its host): a lease that ran out, or a
    /// removal, frees the id, and a token shown for a free id is its token from then on. The higher epoch fences whatever the former incarnation still reports.
    pub fn register_again(
        &mut self,
        announcement: Announcement,
        claim: &Claim,
        fresh: TokenHash,
        now: Timestamp,
        terms: &LeaseTerms,
    ) -> Result<TokenIssue, RegistryError> {
        let owned = matches!(claim, Claim::Token(token) if TokenHash::of(token) == self.record.token_hash);
        let free = self.is_retired() || self.lease(terms, now) != LeaseState::Held;
        if !(owned || free || *claim == Claim::Host) {
            return Err(RegistryError::IdHeld { agent: self.record.agent_id.clone() });
        }
        let (token, issue) = claim.token_or(fresh);
        let next = Self::register(self.record.agent_id.clone(), announcement, token, now).record;
        self.record = AgentRecord {
            epoch: self.record.epoch.saturating_add(1),
            revision: self.record.revision + 1,
            ..next
        };
        self.changes.push(AgentChangeKind::Registered);
        Ok(issue)
    }

    /// A sign of life, with new figures or without. Revives an agent whose lease ran out; one that was removed must
    /// register again. A given `epoch` must be the current one.
    pub fn heartbeat(
        &mut self,
        telemetry: Option<AgentTelemetry>,
        epoch: Option<u64>,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.check_incarnation(epoch)?;
        let record = &mut self.record;
        if let Some(telemetry) = telemetry {
            record.telemetry = telemetry.check()?;
        }
        let before = record.status;
        record.last_seen = record.last_seen.max(now);
        record.expired_at = None;
        record.status = record.telemetry.status();
        record.revision += 1;
        self.changes.push(AgentChangeKind::Updated);
        if self.record.status != before {
            self.changes.push(AgentChangeKind::StatusChanged);
        }
        Ok(())
    }

    /// Applies the lease: an expired agent becomes UNHEALTHY once, a gone one is also retired. Changes nothing otherwise.
    pub fn enforce_lease(&mut self, terms: &LeaseTerms, now: Timestamp) -> LeaseState {
        let state = self.lease(terms, now);
        if self.is_retired() || state == LeaseState::Held {
            return state;
        }
        if self.record.expired_at.is_none() {
            self.record.expired_at = Some(now);
            self.record.status = AgentStatus::Unhealthy;
            self.record.revision += 1;
            self.changes.push(AgentChangeKind::Expired);
        }
        if state == LeaseState::Gone {
            self.retire_at(now);
        }
        state
    }

    /// Ends the agent's registration. A given `epoch` must be the current one, so that a late goodbye of a former
    /// incarnation does not remove its successor.
    pub fn retire(&mut self, epoch: Option<u64>, now: Timestamp) -> Result<(), RegistryError> {
        self.check_incarnation(epoch)?;
        self.retire_at(now);
        Ok(())
    }

    fn retire_at(&mut self, now: Timestamp) {
        self.record.retired_at = Some(now);
        self.record.revision += 1;
        self.changes.push(AgentChangeKind::Deregistered);
    }

    fn check_incarnation(&self, epoch: Option<u64>) -> Result<(), RegistryError> {
        let agent = &self.record.agent_id;
        if self.is_retired() {
            return Err(RegistryError::NotFound { agent: agent.clone() });
        }
        match epoch {
            Some(reported) if reported != self.record.epoch => {
                let current = self.record.epoch;
                Err(RegistryError::StaleEpoch { agent: agent.clone(), current, reported })
            }
            _ => Ok(()),
        }
    }

    /// The agent as it was stored, unchecked and without pending changes.
    pub fn restore(record: AgentRecord) -> Self {
        Self { record, changes: Vec::new() }
    }

    /// Everything to store.
    pub fn record(&self) -> &AgentRecord {
        &self.record
    }

    /// Which agent.
    pub fn id(&self) -> &AgentId {
        &self.record.agent_id
    }

    /// The incarnation.
    pub fn epoch(&self) -> u64 {
        self.record.epoch
    }

    /// Counts the changes; a write expects the one that was read.
    pub fn revision(&self) -> u64 {
        self.record.revision
    }

    /// Whether the registration has ended.
    pub fn is_retired(&self) -> bool {
        self.record.retired_at.is_some()
    }

    /// What its silence means at `now`.
    pub fn lease(&self, terms: &LeaseTerms, now: Timestamp) -> LeaseState {
        terms.state(self.record.last_seen, now)
    }

    /// Its status at `now`: UNHEALTHY without a lease, even before anyone has noted that.
    pub fn status(&self, terms: &LeaseTerms, now: Timestamp) -> AgentStatus {
        match self.lease(terms, now) {
            LeaseState::Held => self.record.status,
            LeaseState::Expired | LeaseState::Gone => AgentStatus::Unhealthy,
        }
    }

    /// What others may see of it at `now`.
    pub fn snapshot(&self, terms: &LeaseTerms, now: Timestamp) -> AgentSnapshot {
        AgentSnapshot { status: self.status(terms, now), ..AgentSnapshot::of(&self.record) }
    }

    /// Takes the changes made since the agent was read, in order, each with the state after the last of them.
    pub fn take_changes(&mut self, now: Timestamp) -> Vec<AgentChange> {
        let changes = std::mem::take(&mut self.changes);
        changes
            .into_iter()
            .map(|kind| AgentChange { kind, agent: AgentSnapshot::of(&self.record), at: now })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::announcement::AnnouncementDraft;
    use super::super::token::RegistrationToken;
    use super::*;

    const TERMS: LeaseTerms = LeaseTerms::DEFAULT;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn announcement(telemetry: Option<AgentTelemetry>) -> Announcement {
        let draft = AnnouncementDraft {
            agent_type: AgentType::Worker,
            capabilities: vec!["read".into()],
            metadata: BTreeMap::new(),
            namespace: String::new(),
            cluster: String::new(),
            version: String::new(),
            telemetry,
        };
        Announcement::check(draft).unwrap()
    }

    fn figures(success_rate: f64, total_executions: i64) -> AgentTelemetry {
        AgentTelemetry { success_rate, total_executions, ..AgentTelemetry::default() }
    }

    fn hash(text: &str) -> TokenHash {
        TokenHash::of(&RegistrationToken::new(text))
    }

    fn token(text: &str) -> Claim {
        Claim::Token(RegistrationToken::new(text))
    }

    fn agent() -> Agent {
        let id = AgentId::parse("w-1").unwrap();
        let mut agent = Agent::register(id, announcement(None), hash("first"), at(0));
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Registered]);
        agent
    }

    fn kinds(agent: &mut Agent) -> Vec<AgentChangeKind> {
        agent.take_changes(at(0)).into_iter().map(|change| change.kind).collect()
    }

    #[test]
    fn telemetry_given_at_registration_is_kept_and_judged() {
        let id = AgentId::parse("w-2").unwrap();
        let weak = Agent::register(id, announcement(Some(figures(0.4, 10))), hash("t"), at(0));
        assert_eq!(weak.record().telemetry, figures(0.4, 10));
        assert_eq!(weak.record().status, AgentStatus::Degraded);
        assert_eq!(agent().record().status, AgentStatus::Healthy, "no executions, no blame");
    }

    #[test]
    fn a_living_id_is_taken_over_only_with_its_token_or_by_its_host() {
        for (claim, expected) in [
            (Claim::None, None),
            (token("other"), None),
            (token("first"), Some(TokenIssue::Kept)),
            (Claim::Host, Some(TokenIssue::Fresh)),
        ] {
            let mut agent = agent();
            let before = agent.clone();
            match agent.register_again(announcement(None), &claim, hash("second"), at(5), &TERMS) {
                Ok(issue) => {
                    assert_eq!(Some(issue), expected, "{claim:?}");
                    assert_eq!((agent.epoch(), agent.revision()), (2, 2));
                    let valid = if issue == TokenIssue::Kept { "first" } else { "second" };
                    assert_eq!(agent.record().token_hash, hash(valid));
                    assert_eq!(kinds(&mut agent), [AgentChangeKind::Registered]);
                }
                Err(refused) => {
                    assert_eq!(expected, None, "{claim:?}");
                    assert_eq!(refused, RegistryError::IdHeld { agent: agent.id().clone() });
                    assert_eq!(agent, before, "a refusal changes nothing");
                }
            }
        }
    }

    #[test]
    fn an_id_is_free_once_the_lease_ran_out_and_its_epoch_goes_on() {
        let mut expired = agent();
        assert!(
            expired.register_again(announcement(None), &Claim::None, hash("b"), at(120_000), &TERMS).is_err()
        );
        let issue = expired.register_again(announcement(None), &Claim::None, hash("b"), at(120_001), &TERMS);
        assert_eq!((issue, expired.epoch()), (Ok(TokenIssue::Fresh), 2));

        let mut retired = agent();
        retired.retire(None, at(1)).unwrap();
        let issue = retired.register_again(announcement(None), &token("first"), hash("b"), at(2), &TERMS);
        assert_eq!(issue, Ok(TokenIssue::Kept), "whoever lost the answer shows the token again");
        let again = retired.register_again(announcement(None), &token("first"), hash("c"), at(3), &TERMS);
        assert_eq!((again, retired.epoch()), (Ok(TokenIssue::Kept), 3));
        let mut retired = agent();
        retired.retire(None, at(1)).unwrap();
        retired.register_again(announcement(None), &Claim::None, hash("b"), at(2), &TERMS).unwrap();
        assert_eq!((retired.epoch(), retired.is_retired()), (2, false));
    }

    #[test]
    fn heartbeats_change_the_status_by_the_figures() {
        let mut agent = agent();
        agent.heartbeat(Some(figures(0.2, 5)), None, at(10)).unwrap();
        assert_eq!(agent.record().status, AgentStatus::Unhealthy);
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Updated, AgentChangeKind::StatusChanged]);
        agent.heartbeat(None, None, at(5)).unwrap();
        assert_eq!(agent.record().telemetry, figures(0.2, 5), "no figures, no change of figures");
        assert_eq!(agent.record().last_seen, at(10), "a clock that stepped back does not age the agent");
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Updated]);
    }

    #[test]
    fn a_bad_heartbeat_changes_nothing() {
        let mut agent = agent();
        let before = agent.clone();
        assert!(agent.heartbeat(Some(figures(2.0, 1)), None, at(10)).is_err());
        let stale = agent.heartbeat(None, Some(7), at(10)).unwrap_err();
        assert_eq!(stale, RegistryError::StaleEpoch { agent: agent.id().clone(), current: 1, reported: 7 });
        assert_eq!(agent, before);
        agent.heartbeat(None, Some(1), at(10)).unwrap();
    }

    #[test]
    fn the_lease_expires_once_revives_and_at_last_removes() {
        let mut agent = agent();
        assert_eq!(agent.enforce_lease(&TERMS, at(120_000)), LeaseState::Held);
        assert_eq!(agent.status(&TERMS, at(120_001)), AgentStatus::Unhealthy, "before any sweep");
        assert_eq!(agent.enforce_lease(&TERMS, at(120_001)), LeaseState::Expired);
        assert_eq!(agent.enforce_lease(&TERMS, at(200_000)), LeaseState::Expired);
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Expired]);

        agent.heartbeat(None, None, at(200_001)).unwrap();
        assert_eq!(agent.status(&TERMS, at(200_001)), AgentStatus::Healthy);
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Updated, AgentChangeKind::StatusChanged]);

        assert_eq!(agent.enforce_lease(&TERMS, at(800_002)), LeaseState::Gone);
        assert_eq!(kinds(&mut agent), [AgentChangeKind::Expired, AgentChangeKind::Deregistered]);
        let revision = agent.revision();
        agent.enforce_lease(&TERMS, at(900_000));
        assert_eq!(agent.revision(), revision, "a retired agent is left alone");
        assert!(matches!(agent.heartbeat(None, None, at(900_000)), Err(RegistryError::NotFound { .. })));
    }

    #[test]
    fn a_late_goodbye_of_a_former_incarnation_is_refused() {
        let mut agent = agent();
        agent.register_again(announcement(None), &Claim::Host, hash("b"), at(1), &TERMS).unwrap();
        assert!(matches!(agent.retire(Some(1), at(2)), Err(RegistryError::StaleEpoch { current: 2, .. })));
        agent.retire(Some(2), at(2)).unwrap();
        assert!(matches!(agent.retire(None, at(3)), Err(RegistryError::NotFound { .. })));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Register(bool),
        Heartbeat(f64, i64),
        Enforce,
        Retire,
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
        let step = prop_oneof![
            any::<bool>().prop_map(Step::Register),
            (0.0..=1.0f64, 0..3i64).prop_map(|(rate, total)| Step::Heartbeat(rate, total)),
            Just(Step::Enforce),
            Just(Step::Retire),
        ];
        prop::collection::vec((0..700_000i64, step), 1..40)
    }

    proptest! {
        #[test]
        fn epochs_and_revisions_only_grow_and_silence_never_looks_alive(steps in steps()) {
            let mut agent = agent();
            let mut now = 0;
            for (pause, step) in steps {
                now += pause;
                let before = agent.clone();
                let result = match step {
                    Step::Register(host) => {
                        let claim = if host { Claim::Host } else { Claim::None };
                        agent.register_again(announcement(None), &claim, hash("x"), at(now), &TERMS).map(drop)
                    }
                    Step::Heartbeat(rate, total) => agent.heartbeat(Some(figures(rate, total)), None, at(now)),
                    Step::Enforce => { agent.enforce_lease(&TERMS, at(now)); Ok(()) }
                    Step::Retire => agent.retire(None, at(now)),
                };
                if result.is_err() {
                    prop_assert_eq!(&agent, &before);
                }
                prop_assert!(agent.epoch() >= before.epoch());
                let changed = agent.record() != before.record();
                prop_assert_eq!(agent.revision() > before.revision(), changed);
                let silence = now - agent.record().last_seen.millis();
                prop_assert!(silence <= 120_000 || !agent.status(&TERMS, at(now)).is_selectable());
            }
        }
    }
}
