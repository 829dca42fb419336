//! The Service Registry context: which agents there are, what they can do, and whether they still live.

mod agent;
mod announcement;
mod capability;
mod error;
mod lease;
mod matching;
mod metadata;
pub mod public;
mod status;
mod telemetry;
mod token;

pub use agent::{Agent, AgentRecord, TokenIssue};
pub use announcement::{Announcement, AnnouncementDraft};
pub use capability::Capabilities;
pub use error::RegistryError;
pub use lease::{LeaseState, LeaseTerms};
pub use matching::{AgentFilter, AgentQuery, PheromoneCounts, RankedAgent, ScoreTerms};
pub use metadata::Metadata;
pub use status::{AgentStatus, AgentType};
pub use telemetry::AgentTelemetry;
pub use token::{Claim, RegistrationToken, TokenHash};
