//! The ticket context over gRPC: the service of today, the one that clients of before know, and what the platform's other
//! parts ask.

mod convert;
mod dispatch;
mod legacy;
mod service;
mod watch;

pub use dispatch::TicketDispatch;
pub use legacy::LegacyTicketService;
pub use service::TicketService;
pub use watch::WatchConfig;

use hive_application::error::{Error, invalid_id};
use hive_domain::ids::TicketId;
use hive_domain::tickets::TicketStatus;

fn ticket_id(text: &str) -> Result<TicketId, Error> {
    TicketId::parse(text).map_err(invalid_id("ticket_id"))
}

fn ticket_status(text: &str) -> Result<TicketStatus, Error> {
    TicketStatus::parse(text).ok_or_else(|| Error::invalid("status", "is not a ticket status"))
}

/// A count as the contracts carry it.
fn count(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
