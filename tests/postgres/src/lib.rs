//! A private PostgreSQL server: in a temporary folder, on a free port of this machine, as durable as a real one, gone
//! when it is dropped.
//!
//! The server refuses to run as root, so under root it runs as the user `postgres`, whom the Debian package makes.

mod cluster;
mod ports;

pub use cluster::{Cluster, Stop, programs};
pub use ports::free_ports;

/// The variable that tells tests where their server is.
pub const URL: &str = "HIVE_TEST_POSTGRES_URL";
