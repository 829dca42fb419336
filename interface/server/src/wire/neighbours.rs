//! The other contexts, as each context of this process sees them: in this process where it serves them, over gRPC where
//! another one does.

use std::sync::Arc;
use std::time::Duration;

use hive_application::orchestration::{AgentDirectory, TicketGateway};
use hive_application::registry::{Registry, RegistryDesk};
use hive_application::tickets::{TicketDesk, Tickets};
use hive_jwt::ServiceToken;
use hive_peers::grpc::{RemoteDesk, RemoteRegistry, RemoteTickets};
use hive_peers::in_process::{DeskPeer, RegistryPeer, TicketPeer};

use super::link::{Link, caller};
use crate::exit::Failure;
use crate::settings::PeerSettings;
use crate::telemetry::agents::TracedDesk;

/// How long the tickets may take to answer: a large plan is many rows.
const TICKETS_TIMEOUT: Duration = Duration::from_secs(30);

/// The adapters of the ports between contexts.
#[derive(Clone)]
pub(crate) struct Neighbours {
    pub(crate) gateway: Arc<dyn TicketGateway>,
    pub(crate) desk: Arc<dyn TicketDesk>,
    pub(crate) directory: Arc<dyn AgentDirectory>,
    pub(crate) registry: Arc<dyn RegistryDesk>,
    /// Those in other processes, by the name of their service.
    pub(crate) remote: Vec<(&'static str, Link)>,
}

impl Neighbours {
    /// The contexts of this process, and the way to those it lacks.
    pub(super) fn new(
        tickets: Option<&Tickets>,
        registry: Option<&Registry>,
        peers: &PeerSettings,
        credentials: Option<&Arc<ServiceToken>>,
    ) -> Result<Self, Failure> {
        let wrong = |error: tonic::transport::Error| Failure::Usage(format!("wrong settings\n{error}"));
        let mut remote = Vec::new();
        let (gateway, desk): (Arc<dyn TicketGateway>, Arc<dyn TicketDesk>) = match tickets {
            Some(tickets) => {
                (Arc::new(TicketPeer::new(tickets.clone())), Arc::new(DeskPeer::new(tickets.clone())))
            }
            None => {
                let caller =
                    caller("the ticket service", &peers.tickets(), TICKETS_TIMEOUT, credentials.cloned());
                let caller = caller.map_err(wrong)?;
                remote.push(("execution-ticket-service", caller.calls.clone()));
                (Arc::new(RemoteTickets::new(caller.clone())), Arc::new(RemoteDesk::new(caller)))
            }
        };
        let (directory, registry): (Arc<dyn AgentDirectory>, Arc<dyn RegistryDesk>) = match registry {
            Some(registry) => {
                let peer = RegistryPeer::new(registry.clone());
                (Arc::new(peer.clone()), Arc::new(peer))
            }
            None => {
                let (uri, timeout) = (peers.registry(), peers.registry_timeout());
                let caller = caller("the service registry", &uri, timeout, credentials.cloned());
                let caller = caller.map_err(wrong)?;
                remote.push(("service-registry", caller.calls.clone()));
                let peer = RemoteRegistry::new(caller);
                (Arc::new(peer.clone()), Arc::new(peer))
            }
        };
        let desk: Arc<dyn TicketDesk> = Arc::new(TracedDesk::new(desk));
        Ok(Neighbours { gateway, desk, directory, registry, remote })
    }
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").field("remote", &self.remote).finish_non_exhaustive()
    }
}
