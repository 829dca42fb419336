//! The registry context's database: agents.

mod agents;
#[expect(unreachable_pub, reason = "the derives of sea-orm need public items")]
mod entity;
mod mapping;
mod store;

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::registry::AgentRepository;
use hive_migration::registry::Schema;
use sea_orm::DatabaseConnection;

use crate::database::{Config, Database};
use crate::failure;
use crate::writer::Writer;
use agents::SqlAgentRepository;
use store::Store;

/// How this database is called in errors.
const WHAT: &str = "the agent store";

/// The open registry database.
#[derive(Debug)]
pub struct RegistryDatabase {
    shared: Arc<Shared>,
}

/// What the ports of this database share.
#[derive(Debug)]
struct Shared {
    reader: DatabaseConnection,
    writer: Writer<Store>,
}

impl RegistryDatabase {
    /// Opens or makes the database and brings its schema up to date. `Unavailable` when that is impossible.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let Database { writer, reader } = Database::open::<Schema>(WHAT, config).await?;
        let writer = Writer::start(WHAT, writer, config.queue, config.batch, Store::new()).await?;
        Ok(RegistryDatabase { shared: Arc::new(Shared { reader, writer }) })
    }

    /// The agents.
    pub fn repository(&self) -> Arc<dyn AgentRepository> {
        Arc::new(SqlAgentRepository::new(Arc::clone(&self.shared)))
    }

    /// Finishes the writes that wait, then closes the file. What is asked afterwards is answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared.writer.close().await;
        self.shared.reader.close_by_ref().await.map_err(failure::read(WHAT))
    }
}
