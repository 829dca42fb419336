//! What an agent is and how well it does.

use std::fmt;

use super::error::RegistryError;

/// What an agent is for. The numbers are those of the registry's wire contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AgentType {
    /// Runs tickets.
    Worker,
    /// Explores.
    Scout,
    /// Watches over security.
    Guard,
    /// Examines results.
    Analyst,
}

impl AgentType {
    /// Every type, in wire order.
    pub const ALL: [AgentType; 4] = [Self::Worker, Self::Scout, Self::Guard, Self::Analyst];

    /// The word on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "WORKER",
            Self::Scout => "SCOUT",
            Self::Guard => "GUARD",
            Self::Analyst => "ANALYST",
        }
    }

    /// The number on the wire, 1 to 4.
    pub const fn number(self) -> i32 {
        match self {
            Self::Worker => 1,
            Self::Scout => 2,
            Self::Guard => 3,
            Self::Analyst => 4,
        }
    }

    /// Reads a word in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_str()))
    }

    /// Reads the wire number; anything but 1 to 4 is refused naming `agent_type`.
    pub fn from_number(number: i32) -> Result<Self, RegistryError> {
        Self::ALL.into_iter().find(|kind| kind.number() == number).ok_or_else(|| {
            RegistryError::invalid("agent_type", "must be 1 (WORKER), 2 (SCOUT), 3 (GUARD) or 4 (ANALYST)")
        })
    }
}

impl fmt::Display for AgentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How well an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentStatus {
    /// Most of its work succeeds, or it has not done any yet.
    Healthy,
    /// Too much of its work fails, or its lease ran out.
    Unhealthy,
    /// It fails often, but may still be chosen.
    Degraded,
}

impl AgentStatus {
    /// Every status, in wire order.
    pub const ALL: [AgentStatus; 3] = [Self::Healthy, Self::Unhealthy, Self::Degraded];

    /// The word on the wire and in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Degraded => "DEGRADED",
        }
    }

    /// The number on the wire, 1 to 3.
    pub const fn number(self) -> i32 {
        match self {
            Self::Healthy => 1,
            Self::Unhealthy => 2,
            Self::Degraded => 3,
        }
    }

    /// Reads a word in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| text.eq_ignore_ascii_case(status.as_str()))
    }

    /// Whether an agent in this state may be given work while its lease is held.
    pub const fn is_selectable(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded)
    }
}

impl fmt::Display for AgentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_read_back() {
        for kind in AgentType::ALL {
            assert_eq!(AgentType::parse(&kind.as_str().to_lowercase()), Some(kind));
            assert_eq!(AgentType::from_number(kind.number()), Ok(kind));
        }
        for status in AgentStatus::ALL {
            assert_eq!(AgentStatus::parse(&status.as_str().to_lowercase()), Some(status));
        }
        assert_eq!(AgentType::parse("QUEEN"), None);
        assert_eq!(AgentStatus::parse("DEAD"), None);
    }

    #[test]
    fn only_four_types_have_a_number() {
        for number in [i32::MIN, -1, 0, 5, 9, i32::MAX] {
            let refused = AgentType::from_number(number).unwrap_err();
            assert!(refused.to_string().starts_with("agent_type must be"), "{refused}");
        }
    }
}
