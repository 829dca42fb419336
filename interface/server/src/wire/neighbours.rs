//! The other contexts, as each context of this process sees them: in this process where it serves them, over gRPC where
//! another one does.

use std::sync::Arc;

use hive_application::orchestration::{AgentDirectory, TicketGateway};
use hive_application::registry::{Registry, RegistryDesk};
use hive_application::tickets::{TicketDesk, Tickets};
use hive_grpc_kit::client::Channel;
use hive_peers::grpc::{RemoteDesk, RemoteRegistry, RemoteTickets};
use hive_peers::in_process::{DeskPeer, RegistryPeer, TicketPeer};

use super::link::{Clients, REGISTRY, TICKETS};
use crate::exit::Failure;
use crate::settings::Settings;
use crate::telemetry::agents::TracedDesk;

/// The adapters of the ports between contexts.
#[derive(Clone)]
pub(crate) struct Neighbours {
    pub(crate) gateway: Arc<dyn TicketGateway>,
    pub(crate) desk: Arc<dyn TicketDesk>,
    pub(crate) directory: Arc<dyn AgentDirectory>,
    pub(crate) registry: Arc<dyn RegistryDesk>,
    /// The way to ask those in other processes how they are, by the name of their service.
    pub(crate) remote: Vec<(&'static str, Channel)>,
}

impl Neighbours {
    /// The contexts of this process, and the way to those it lacks.
    pub(super) fn new(
        tickets: Option<&Tickets>,
        registry: Option<&Registry>,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let peers = &settings.peers;
        let away = [
            tickets.is_none().then(|| (TICKETS, peers.tickets())),
            registry.is_none().then(|| (REGISTRY, peers.registry())),
        ];
        let away: Vec<_> = away.into_iter().flatten().collect();
        let clients = Clients::of_neighbours(settings, &away)?;
        let remote = away.iter().map(|(neighbour, _)| clients.health(*neighbour));
        let remote = remote.collect::<Result<Vec<_>, Failure>>()?;
        let (gateway, desk): (Arc<dyn TicketGateway>, Arc<dyn TicketDesk>) = match tickets {
            Some(tickets) => {
                (Arc::new(TicketPeer::new(tickets.clone())), Arc::new(DeskPeer::new(tickets.clone())))
            }
            None => {
                let caller = clients.caller(TICKETS, settings.grpc.timeout())?;
                (Arc::new(RemoteTickets::new(caller.clone())), Arc::new(RemoteDesk::new(caller)))
            }
        };
        let (directory, registry): (Arc<dyn AgentDirectory>, Arc<dyn RegistryDesk>) = match registry {
            Some(registry) => {
                let peer = RegistryPeer::new(registry.clone());
                (Arc::new(peer.clone()), Arc::new(peer))
            }
            None => {
                let peer = RemoteRegistry::new(clients.caller(REGISTRY, peers.registry_timeout())?);
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
