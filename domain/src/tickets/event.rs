//! What happened to a ticket: one event a change, the source of history and of the outbox.

use super::status::TicketStatus;
use crate::time::Timestamp;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// The kind of a change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TicketAction {
            $($(#[$doc])* $variant),+
        }

        impl TicketAction {
            /// Every action.
            pub const ALL: &'static [TicketAction] = &[$(TicketAction::$variant),+];

            /// The word in history and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(TicketAction::$variant => $text),+
                }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == text)
            }
        }
    };
}

actions!(
    /// The ticket exists.
    Created = "created",
    /// Published to the agent it is allocated to.
    Dispatched = "dispatched",
    /// Its agent took it.
    Started = "started",
    /// Done.
    Completed = "completed",
    /// Ended without success.
    Failed = "failed",
    /// Back in the queue for another try.
    Retried = "retried",
    /// Back in the queue because its agent is gone.
    Released = "released",
    /// Will never run.
    Cancelled = "cancelled",
    /// Stopped for a more urgent ticket.
    Preempted = "preempted",
    /// Its effect is being undone.
    CompensationStarted = "compensation_started",
    /// Its effect is undone.
    Compensated = "compensated",
    /// Something was noted on it; its status is as before.
    Annotated = "annotated",
);

/// One change of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketEvent {
    /// What was done.
    pub action: TicketAction,
    /// The status before; none for the creation.
    pub old_status: Option<TicketStatus>,
    /// The status after.
    pub new_status: TicketStatus,
    /// Who did it.
    pub changed_by: String,
    /// When.
    pub at: Timestamp,
}
