//! One gRPC server a role, each with its own health and reflection.

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::tickets::TicketApi;
use hive_grpc::orchestration::OrchestratorService;
use hive_grpc::registry::RegistryService;
use hive_grpc::tickets::{LegacyTicketService, TicketDispatch, TicketService, WatchConfig};
use hive_grpc_kit::server::builder::{BuildError, ServerBuilder};
use hive_grpc_kit::server::config::Config;
use hive_grpc_kit::server::serve::Server;
use hive_grpc_kit::servicer;
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_server::TicketDispatchServer;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::TicketServiceServer;
use hive_proto::grpc::neural_hive::orchestration::orchestrator_service_server::OrchestratorServiceServer;
use hive_proto::grpc::neural_hive::service_registry::service_registry_server::ServiceRegistryServer;
use hive_proto::grpc::ticket_service::ticket_service_server::TicketServiceServer as LegacyTicketServiceServer;
use hive_proto::grpc::{
    DISPATCH_DESCRIPTOR_SET, EXECUTION_DESCRIPTOR_SET, ORCHESTRATOR_DESCRIPTOR_SET,
    SERVICE_REGISTRY_DESCRIPTOR_SET, TICKET_SERVICE_DESCRIPTOR_SET,
};
use tokio::sync::Notify;

use super::servicer::InCall;
use crate::exit::Failure;
use crate::roles::Role;
use crate::wire::Hive;

/// The server of a role, made of `builder`; none for one that answers nothing.
pub(super) fn server(
    role: Role,
    config: &Config,
    builder: ServerBuilder,
    hive: &Hive,
    api: Option<&TicketApi>,
    failed: &Arc<Notify>,
) -> Result<Option<Server>, Failure> {
    let builder = match (role, &hive.registry, api, &hive.orchestration) {
        (Role::Registry, Some(registry), _, _) => {
            let registry = RegistryService::new(registry.clone());
            let registry = InCall::new(servicer!(ServiceRegistryServer, registry, config), failed);
            builder.register(registry, SERVICE_REGISTRY_DESCRIPTOR_SET)
        }
        (Role::Tickets, _, Some(api), _) => {
            let tickets = TicketService::new(api.clone(), WatchConfig::default());
            let legacy = LegacyTicketService::new(api.clone());
            let dispatch = TicketDispatch::new(api.tickets.clone());
            builder
                .register(
                    InCall::new(servicer!(TicketServiceServer, tickets, config), failed),
                    EXECUTION_DESCRIPTOR_SET,
                )
                .register(
                    InCall::new(servicer!(LegacyTicketServiceServer, legacy, config), failed),
                    TICKET_SERVICE_DESCRIPTOR_SET,
                )
                .register(
                    InCall::new(servicer!(TicketDispatchServer, dispatch, config), failed),
                    DISPATCH_DESCRIPTOR_SET,
                )
        }
        (Role::Orchestration, _, _, Some(orchestration)) => {
            let orchestrator = OrchestratorService::new(orchestration.clone());
            let orchestrator =
                InCall::new(servicer!(OrchestratorServiceServer, orchestrator, config), failed);
            builder.register(orchestrator, ORCHESTRATOR_DESCRIPTOR_SET)
        }
        _ => return Ok(None),
    };
    builder.build().map(Some).map_err(blame)
}

fn blame(error: BuildError) -> Failure {
    match error {
        BuildError::Config(error) => Failure::Usage(format!("wrong settings\n{error}")),
        BuildError::Tls(error) => Failure::Usage(format!("wrong settings\n{error}")),
        other => Failure::Defect(Error::internal(other)),
    }
}
