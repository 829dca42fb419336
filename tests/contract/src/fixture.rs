//! What a suite needs of an adapter.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hive_application::orchestration::{AgentDirectory, Journal, TicketGateway};
use hive_application::registry::{AgentRepository, RegistryDesk};
use hive_application::tickets::{TicketDesk, TicketLog, TicketRepository};
use hive_domain::time::Timestamp;

/// A ticket store.
#[async_trait]
pub trait TicketFixture: Send + Sync {
    /// Opens the store with what it holds; nothing at first. One at a time.
    async fn open(&self) -> OpenTickets;

    /// Takes out of the log what was made before a moment, while the store is not open, and tells how much.
    async fn prune(&self, before: Timestamp) -> u64;
}

/// An open ticket store.
pub struct OpenTickets {
    /// The tickets.
    pub repository: Arc<dyn TicketRepository>,
    /// Their log.
    pub log: Arc<dyn TicketLog>,
    /// Closes the store.
    pub close: BoxFuture<'static, ()>,
}

/// A journal.
#[async_trait]
pub trait JournalFixture: Send + Sync {
    /// Opens the journal with what it holds; nothing at first. One at a time.
    async fn open(&self) -> (Arc<dyn Journal>, BoxFuture<'static, ()>);

    /// Takes out of the outbox what was made before a moment, while the journal is not open, and tells how much.
    async fn prune(&self, before: Timestamp) -> u64;
}

/// An agent store.
#[async_trait]
pub trait AgentFixture: Send + Sync {
    /// Opens the store with what it holds; nothing at first. One at a time.
    async fn open(&self) -> (Arc<dyn AgentRepository>, BoxFuture<'static, ()>);
}

/// The ticket context and the registry, as the others see them.
#[async_trait]
pub trait NeighbourFixture: Send + Sync {
    /// Both, empty.
    async fn open(&self) -> Neighbours;
}

/// The ports between contexts.
pub struct Neighbours {
    /// The tickets, seen from orchestration.
    pub tickets: Arc<dyn TicketGateway>,
    /// The tickets, seen from an agent.
    pub desk: Arc<dyn TicketDesk>,
    /// The registry, seen from orchestration.
    pub agents: Arc<dyn AgentDirectory>,
    /// The registry, seen from an agent.
    pub registry: Arc<dyn RegistryDesk>,
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OpenTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenTickets").finish_non_exhaustive()
    }
}
