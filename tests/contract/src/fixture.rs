//! What a suite needs of an adapter.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hive_application::orchestration::Journal;
use hive_application::registry::AgentRepository;
use hive_application::tickets::{TicketLog, TicketRepository};

/// A ticket store.
#[async_trait]
pub trait TicketFixture: Send + Sync {
    /// Opens the store with what it holds; nothing at first. One at a time.
    async fn open(&self) -> OpenTickets;
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
}

/// An agent store.
#[async_trait]
pub trait AgentFixture: Send + Sync {
    /// Opens the store with what it holds; nothing at first. One at a time.
    async fn open(&self) -> (Arc<dyn AgentRepository>, BoxFuture<'static, ()>);
}

impl std::fmt::Debug for OpenTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenTickets").finish_non_exhaustive()
    }
}
