//! Settings of the tickets.

use serde::Deserialize;

use super::fields::port;

/// Settings of the tickets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketSettings {
    /// Port of their gRPC server in `up`.
    #[serde(deserialize_with = "port")]
    pub(crate) grpc_port: u16,
}
