//! Service level and delivery promises of a ticket.

use super::kinds::{Consistency, DeliveryMode, Durability};
use crate::time::Timestamp;

/// The service level agreed for a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sla {
    /// When the ticket must be done.
    pub deadline: Timestamp,
    /// Milliseconds the work may take, counted from `started_at`.
    pub timeout_ms: i64,
    /// Times the ticket may be tried again.
    pub max_retries: i32,
}

/// The delivery promises of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Qos {
    /// How often the effect may happen.
    pub delivery_mode: DeliveryMode,
    /// How soon every reader must see it.
    pub consistency: Consistency,
    /// Whether it must survive a restart.
    pub durability: Durability,
}
