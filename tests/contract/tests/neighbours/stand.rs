//! Both contexts on databases of their own, and the two ways to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hive_application::clock::Clock;
use hive_application::ids::IdGenerator;
use hive_application::registry::Registry;
use hive_application::tickets::{TicketApi, Tickets, TokenConfig};
use hive_contract::fixture::{NeighbourFixture, Neighbours};
use hive_domain::registry::LeaseTerms;
use hive_domain::time::Timestamp;
use hive_grpc::registry::RegistryService;
use hive_grpc::tickets::{TicketDispatch, TicketService, WatchConfig};
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config as ServerConfig, Environment};
use hive_grpc_kit::servicer;
use hive_grpc_kit::testing::InMemory;
use hive_jwt::Hs256TokenIssuer;
use hive_peers::grpc::{Caller, RemoteDesk, RemoteRegistry, RemoteTickets};
use hive_peers::in_process::{DeskPeer, RegistryPeer, TicketPeer};
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_server::TicketDispatchServer;
use hive_proto::grpc::neural_hive::execution::ticket_service_server::TicketServiceServer;
use hive_proto::grpc::neural_hive::service_registry::service_registry_server::ServiceRegistryServer;
use hive_proto::grpc::{DISPATCH_DESCRIPTOR_SET, EXECUTION_DESCRIPTOR_SET, SERVICE_REGISTRY_DESCRIPTOR_SET};
use hive_sql::{Config, RegistryDatabase, TicketDatabase};
use tempfile::TempDir;

/// Within a process.
pub(crate) struct InProcess {
    tickets: Tickets,
    registry: Registry,
    _databases: (TicketDatabase, RegistryDatabase),
    _folder: TempDir,
}

impl InProcess {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = |name: &str| Config::new(folder.path().join(name));
        let tickets = TicketDatabase::open(&config("tickets.db")).await.unwrap();
        let registry = RegistryDatabase::open(&config("registry.db")).await.unwrap();
        let ids = Arc::new(Counter::default());
        InProcess {
            tickets: Tickets::new(tickets.repository(), tickets.log(), Arc::new(WallClock)),
            registry: Registry::new(registry.repository(), Arc::new(WallClock), ids, LeaseTerms::default()),
            _databases: (tickets, registry),
            _folder: folder,
        }
    }
}

#[async_trait]
impl NeighbourFixture for InProcess {
    async fn open(&self) -> Neighbours {
        let registry = RegistryPeer::new(self.registry.clone());
        Neighbours {
            tickets: Arc::new(TicketPeer::new(self.tickets.clone())),
            desk: Arc::new(DeskPeer::new(self.tickets.clone())),
            agents: Arc::new(registry.clone()),
            registry: Arc::new(registry),
        }
    }
}

/// Through the servicers in the kit's stack, over one connection.
pub(crate) struct OverGrpc {
    _contexts: InProcess,
    server: InMemory,
}

impl OverGrpc {
    pub(crate) async fn new() -> Self {
        let contexts = InProcess::new().await;
        let issuer = Arc::new(Hs256TokenIssuer::new(b"key").unwrap());
        let ids = Arc::new(Counter::default());
        let api = TicketApi::new(
            contexts.tickets.clone(),
            Arc::new(WallClock),
            ids,
            issuer,
            TokenConfig::default(),
        );
        let tickets = TicketService::new(api, WatchConfig::default());
        let dispatch = TicketDispatch::new(contexts.tickets.clone());
        let registry = RegistryService::new(contexts.registry.clone());
        let server = ServerBuilder::new(ServerConfig::default(), Environment::Development)
            .register(servicer!(TicketServiceServer, tickets), EXECUTION_DESCRIPTOR_SET)
            .register(servicer!(TicketDispatchServer, dispatch), DISPATCH_DESCRIPTOR_SET)
            .register(servicer!(ServiceRegistryServer, registry), SERVICE_REGISTRY_DESCRIPTOR_SET)
            .build()
            .unwrap();
        OverGrpc { _contexts: contexts, server: InMemory::start(server).await.unwrap() }
    }

    /// Ends the server, cutting off what runs.
    pub(crate) fn stop(&self) {
        self.server.shutdown.drain();
        self.server.shutdown.stop();
    }
}

#[async_trait]
impl NeighbourFixture for OverGrpc {
    async fn open(&self) -> Neighbours {
        let channel = &self.server.channel;
        let caller = Caller {
            calls: channel.clone(),
            streams: channel.clone(),
            timeout: Duration::from_secs(60),
            name: "the neighbour",
        };
        let registry = RemoteRegistry::new(caller.clone());
        Neighbours {
            tickets: Arc::new(RemoteTickets::new(caller.clone())),
            desk: Arc::new(RemoteDesk::new(caller)),
            agents: Arc::new(registry.clone()),
            registry: Arc::new(registry),
        }
    }
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

#[derive(Default)]
struct Counter(AtomicU64);

impl IdGenerator for Counter {
    fn uuid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}
