//! The lease: how long silence is tolerated. The only place that decides whether an agent lives.

use super::error::RegistryError;
use crate::time::Timestamp;

/// How long an agent may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    heartbeat_timeout_ms: i64,
}

/// What an agent's silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseState {
    /// It was heard from in time.
    Held,
    /// It is not to be given work, but may come back with a heartbeat.
    Expired,
    /// It was silent so long that it is removed; coming back takes a registration.
    Gone,
}

impl LeaseTerms {
    /// Milliseconds of silence tolerated when nothing else is said.
    pub const DEFAULT_HEARTBEAT_TIMEOUT_MS: i64 = 120_000;
    /// Timeouts of silence after which an agent is removed.
    pub const TIMEOUTS_TO_REMOVAL: i64 = 5;

    /// The default timeout.
    pub const DEFAULT: Self = Self { heartbeat_timeout_ms: Self::DEFAULT_HEARTBEAT_TIMEOUT_MS };

    /// Terms with a timeout in milliseconds, at least 1.
    pub fn new(heartbeat_timeout_ms: i64) -> Result<Self, RegistryError> {
        if heartbeat_timeout_ms < 1 {
            return Err(RegistryError::invalid("heartbeat_timeout_ms", "must be at least 1"));
        }
        Ok(Self { heartbeat_timeout_ms })
    }

    /// Milliseconds of silence tolerated.
    pub const fn heartbeat_timeout_ms(&self) -> i64 {
        self.heartbeat_timeout_ms
    }

    /// Judges the silence since `last_seen`. Exactly one timeout of silence is still in time.
    pub const fn state(&self, last_seen: Timestamp, now: Timestamp) -> LeaseState {
        let silence = now.since(last_seen);
        if silence <= self.heartbeat_timeout_ms {
            LeaseState::Held
        } else if silence <= self.heartbeat_timeout_ms.saturating_mul(Self::TIMEOUTS_TO_REMOVAL) {
            LeaseState::Expired
        } else {
            LeaseState::Gone
        }
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_strict() {
        let terms = LeaseTerms::default();
        let at = |ms: i64| terms.state(Timestamp::from_millis(1_000), Timestamp::from_millis(1_000 + ms));
        assert_eq!(at(-5), LeaseState::Held, "a clock that stepped back kills nobody");
        assert_eq!(at(120_000), LeaseState::Held);
        assert_eq!(at(120_001), LeaseState::Expired);
        assert_eq!(at(600_000), LeaseState::Expired);
        assert_eq!(at(600_001), LeaseState::Gone);
    }

    #[test]
    fn a_timeout_must_be_positive() {
        assert!(LeaseTerms::new(0).is_err());
        assert!(LeaseTerms::new(-1).is_err());
        let endless = LeaseTerms::new(i64::MAX).unwrap();
        let ever = endless.state(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        assert_eq!(ever, LeaseState::Held);
    }
}
