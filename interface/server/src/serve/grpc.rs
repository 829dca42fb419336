//! One gRPC server a role, each with its own health and reflection.

use hive_application::error::Error;
use hive_application::tickets::TicketApi;
use hive_grpc::orchestration::OrchestratorService;
use hive_grpc::registry::RegistryService;
use hive_grpc::tickets::{LegacyTicketService, TicketService, WatchConfig};
use hive_grpc_kit::server::builder::{BuildError, ServerBuilder};
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::server::serve::Server;
use hive_grpc_kit::servicer;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::TicketServiceServer;
use hive_proto::grpc::neural_hive::orchestration::orchestrator_service_server::OrchestratorServiceServer;
use hive_proto::grpc::neural_hive::service_registry::service_registry_server::ServiceRegistryServer;
use hive_proto::grpc::ticket_service::ticket_service_server::TicketServiceServer as LegacyTicketServiceServer;
use hive_proto::grpc::{
    EXECUTION_DESCRIPTOR_SET, ORCHESTRATOR_DESCRIPTOR_SET, SERVICE_REGISTRY_DESCRIPTOR_SET,
    TICKET_SERVICE_DESCRIPTOR_SET,
};

use super::servicer::InCall;
use crate::exit::Failure;
use crate::telemetry::Told;
use crate::wire::Hive;

/// The servers of the registry, of the tickets, and of orchestration, in this order.
pub(super) fn servers(
    config: &Config,
    environment: Environment,
    hive: &Hive,
    api: &TicketApi,
    told: &Told,
) -> Result<Vec<Server>, Failure> {
    let builder = || told.by_grpc(ServerBuilder::new(config.clone(), environment));
    let registry = RegistryService::new(hive.registry.clone());
    let registry = builder()
        .register(InCall::new(servicer!(ServiceRegistryServer, registry)), SERVICE_REGISTRY_DESCRIPTOR_SET);
    let tickets = TicketService::new(api.clone(), WatchConfig::default());
    let tickets = builder()
        .register(InCall::new(servicer!(TicketServiceServer, tickets)), EXECUTION_DESCRIPTOR_SET)
        .register(
            InCall::new(servicer!(LegacyTicketServiceServer, LegacyTicketService::new(api.clone()))),
            TICKET_SERVICE_DESCRIPTOR_SET,
        );
    let orchestrator = OrchestratorService::new(hive.orchestration.clone());
    let orchestrator = builder().register(
        InCall::new(servicer!(OrchestratorServiceServer, orchestrator)),
        ORCHESTRATOR_DESCRIPTOR_SET,
    );
    [registry, tickets, orchestrator].into_iter().map(|builder| builder.build().map_err(blame)).collect()
}

fn blame(error: BuildError) -> Failure {
    match error {
        BuildError::Config(error) => Failure::Usage(format!("wrong settings\n{error}")),
        other => Failure::Defect(Error::internal(other)),
    }
}
