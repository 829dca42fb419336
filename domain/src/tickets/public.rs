//! What other contexts may name of tickets.

pub use super::change::{TicketChange, TicketSnapshot};
pub use super::compensation::{COMPENSATION_RETRIES, COMPENSATION_TIMEOUT_MS};
pub use super::content::{TicketContent, TicketState};
pub use super::event::{TicketAction, TicketEvent};
pub use super::kinds::{Consistency, DeliveryMode, Durability, Priority, RiskBand, SecurityLevel, TaskType};
pub use super::order::Order;
pub use super::report::{Dispatch, Report};
pub use super::sla::{Qos, Sla};
pub use super::status::TicketStatus;
