//! The standard health protocol: what is served, who decides it, and the servicer that tells.

mod reporter;
mod servicer;

pub use reporter::{Dependency, HealthReporter, ServingStatus};
pub use servicer::HealthServicer;

/// The generated protocol, client included.
pub mod proto {
    #![expect(
        missing_docs,
        unused_qualifications,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "generated"
    )]
    tonic::include_proto!("grpc.health.v1");
}

/// The full name of the health service.
pub const SERVICE: &str = "grpc.health.v1.Health";

/// The encoded descriptor set of the protocol, for reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/health.bin"));
