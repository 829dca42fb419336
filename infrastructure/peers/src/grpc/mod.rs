//! Neighbours in another process: the port calls the other context's gRPC services.
//!
//! A call is made once; who calls again is for the caller to decide, as with a neighbour in the same process. A stream that
//! breaks or ends says so as [`Unavailable`](hive_application::error::ErrorKind::Unavailable): the caller opens another one
//! behind the last change it got.

mod call;
mod desk;
mod registry;
mod stream;
mod tickets;

pub use call::{Caller, Channel};
pub use desk::RemoteDesk;
pub use registry::RemoteRegistry;
pub use tickets::RemoteTickets;
