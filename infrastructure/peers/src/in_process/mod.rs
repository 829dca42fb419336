//! Neighbours in the same process: the port calls the other context's facade.

mod desk;
mod registry;
mod tickets;

pub use desk::DeskPeer;
pub use registry::RegistryPeer;
pub use tickets::TicketPeer;
