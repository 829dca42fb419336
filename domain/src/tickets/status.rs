//! The states of a ticket and the one table of moves between them.

use std::fmt;

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TicketStatus {
    /// Waits for its turn.
    Pending,
    /// Handed to an agent, or being worked on by one.
    Running,
    /// Done.
    Completed,
    /// Ended without success; the only end that a retry may leave.
    Failed,
    /// Its effect is being undone.
    Compensating,
    /// Its effect is undone.
    Compensated,
    /// Will never run.
    Cancelled,
    /// Stopped for a more urgent ticket.
    Preempted,
}

use TicketStatus::{Cancelled, Compensated, Compensating, Completed, Failed, Pending, Preempted, Running};

impl TicketStatus {
    /// Every status: the six of the ticket schema, then the two that only storage knows.
    pub const ALL: [TicketStatus; 8] =
        [Pending, Running, Completed, Failed, Compensating, Compensated, Cancelled, Preempted];

    /// The word in storage and on our own wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "PENDING",
            Running => "RUNNING",
            Completed => "COMPLETED",
            Failed => "FAILED",
            Compensating => "COMPENSATING",
            Compensated => "COMPENSATED",
            Cancelled => "CANCELLED",
            Preempted => "PREEMPTED",
        }
    }

    /// Reads a word in any case; `IN_PROGRESS` is an alias of RUNNING.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("IN_PROGRESS") {
            return Some(Running);
        }
        Self::ALL.into_iter().find(|status| text.eq_ignore_ascii_case(status.as_str()))
    }

    /// The moves a ticket may make. Staying is always allowed and changes nothing.
    pub const fn next(self) -> &'static [TicketStatus] {
        match self {
            Pending => &[Running, Failed, Cancelled, Compensating],
            Running => &[Completed, Failed, Pending, Compensating, Cancelled, Preempted],
            Failed => &[Pending, Compensating],
            Completed => &[Compensating],
            Compensating => &[Compensated, Failed],
            Compensated | Cancelled | Preempted => &[],
        }
    }

    /// Whether the table has this move.
    pub fn allows(self, to: TicketStatus) -> bool {
        self.next().contains(&to)
    }

    /// Whether work on the ticket is over. FAILED is: a retry starts it anew.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Completed | Failed | Compensated | Cancelled | Preempted)
    }
}

impl fmt::Display for TicketStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_aliases() {
        for status in TicketStatus::ALL {
            assert_eq!(TicketStatus::parse(status.as_str()), Some(status));
            assert_eq!(TicketStatus::parse(&status.as_str().to_lowercase()), Some(status));
        }
        assert_eq!(TicketStatus::parse("in_progress"), Some(Running));
        assert_eq!(TicketStatus::parse("assigned"), None);
    }

    #[test]
    fn the_whole_table() {
        let allowed: Vec<(TicketStatus, TicketStatus)> = TicketStatus::ALL
            .into_iter()
            .flat_map(|from| TicketStatus::ALL.into_iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.allows(*to))
            .collect();
        let expected = [
            (Pending, Running),
            (Pending, Failed),
            (Pending, Compensating),
            (Pending, Cancelled),
            (Running, Pending),
            (Running, Completed),
            (Running, Failed),
            (Running, Compensating),
            (Running, Cancelled),
            (Running, Preempted),
            (Completed, Compensating),
            (Failed, Pending),
            (Failed, Compensating),
            (Compensating, Failed),
            (Compensating, Compensated),
        ];
        assert_eq!(allowed, expected);
    }
}
