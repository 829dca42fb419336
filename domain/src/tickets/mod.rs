//! The Execution Ticket context: the life of one unit of work.

mod annotation;
mod change;
mod compensation;
mod content;
mod error;
mod event;
mod kinds;
mod order;
pub mod public;
mod report;
mod sla;
mod status;
mod ticket;

pub use annotation::{Annotation, METADATA_MAX_BYTES};
pub use change::{TicketChange, TicketSnapshot};
pub use compensation::{COMPENSATION_RETRIES, COMPENSATION_TIMEOUT_MS, Compensation};
pub use content::{TicketContent, TicketState};
pub use error::TicketError;
pub use event::{TicketAction, TicketEvent};
pub use kinds::{Consistency, DeliveryMode, Durability, Priority, RiskBand, SecurityLevel, TaskType};
pub use order::Order;
pub use report::{Dispatch, Report};
pub use sla::{Qos, Sla};
pub use status::TicketStatus;
pub use ticket::{Applied, Ticket};

#[cfg(test)]
mod tests;
