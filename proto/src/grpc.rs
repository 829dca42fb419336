//! Messages, clients and servers of the gRPC contracts, generated when the crate is built, and their descriptor sets.
//!
//! Modules are named like the packages: `neural_hive.execution` is [`neural_hive::execution`].

#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    unused_qualifications,
    reason = "generated code follows the rules of its generators"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

pub use generated::*;

/// The contract of `neural_hive.execution.TicketService`, as reflection shows it.
pub const EXECUTION_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/execution.bin"));

/// The contract of `hive.tickets.v1.TicketDispatch`, as reflection shows it.
pub const DISPATCH_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dispatch.bin"));

/// The contract of `ticket_service.TicketService`, as reflection shows it.
pub const TICKET_SERVICE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/ticket_service.bin"));

/// The contract of `neural_hive.orchestration.OrchestratorService`, as reflection shows it.
pub const ORCHESTRATOR_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/orchestrator.bin"));

/// The contract of `neural_hive.service_registry.ServiceRegistry`, as reflection shows it.
pub const SERVICE_REGISTRY_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/service_registry.bin"));
