//! Stores in a folder of their own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hive_application::orchestration::Journal;
use hive_application::registry::AgentRepository;
use hive_contract::fixture::{AgentFixture, JournalFixture, OpenTickets, TicketFixture};
use hive_domain::time::Timestamp;
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, TicketDatabase};
use tempfile::TempDir;

/// A folder with one database of each kind.
pub(crate) struct SqliteFixture {
    folder: TempDir,
}

impl SqliteFixture {
    pub(crate) fn new() -> Self {
        SqliteFixture { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Little is kept in memory, so that the other way is taken often.
    pub(crate) fn config(&self) -> Config {
        Config { hot_tickets: 16, log_tail: 16, ..Config::new(self.path()) }
    }
}

#[async_trait]
impl TicketFixture for SqliteFixture {
    async fn open(&self) -> OpenTickets {
        let database = TicketDatabase::open(&self.config()).await.unwrap();
        OpenTickets {
            repository: database.repository(),
            log: database.log(),
            close: async move { database.close().await.unwrap() }.boxed(),
        }
    }

    async fn prune(&self, before: Timestamp) -> u64 {
        let database = TicketDatabase::open(&self.config()).await.unwrap();
        let records = database.prune(before).await.unwrap();
        database.close().await.unwrap();
        records
    }
}

#[async_trait]
impl JournalFixture for SqliteFixture {
    async fn open(&self) -> (Arc<dyn Journal>, BoxFuture<'static, ()>) {
        let database = OrchestrationDatabase::open(&self.config()).await.unwrap();
        (database.journal(), async move { database.close().await.unwrap() }.boxed())
    }

    async fn prune(&self, before: Timestamp) -> u64 {
        let database = OrchestrationDatabase::open(&self.config()).await.unwrap();
        let records = database.prune(before).await.unwrap();
        database.close().await.unwrap();
        records
    }
}

#[async_trait]
impl AgentFixture for SqliteFixture {
    async fn open(&self) -> (Arc<dyn AgentRepository>, BoxFuture<'static, ()>) {
        let database = RegistryDatabase::open(&self.config()).await.unwrap();
        (database.repository(), async move { database.close().await.unwrap() }.boxed())
    }
}
