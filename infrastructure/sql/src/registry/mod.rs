//! The registry context's database: agents.

mod agents;
#[expect(unreachable_pub, reason = "the derives of sea-orm need public items")]
mod entity;
mod mapping;
mod operation;
mod postgres;
mod sqlite;

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::registry::AgentRepository;
use hive_migration::registry::Schema;

use crate::database::{Config, Place};
use crate::engine::{self, reader::Reader};
use crate::writer::Writer;
use agents::SqlAgentRepository;
use operation::{Answer, Operation};

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
    reader: Reader,
    writer: Writer<Operation, Answer>,
    postgres: bool,
}

impl RegistryDatabase {
    /// Opens or makes the database and brings its schema up to date. `Unavailable` when that is impossible.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let shared = match &config.place {
            Place::File(path) => {
                let (writer, reader) = engine::sqlite::open::<Schema>(WHAT, path, config).await?;
                let store = sqlite::Store::new();
                let writer = Writer::start(WHAT, writer, config, store)?;
                Shared { reader, writer, postgres: false }
            }
            Place::Postgres(server) => {
                let pools = engine::postgres::open::<Schema>(WHAT, server, config, None).await?;
                let store = postgres::Store::new();
                let writer = Writer::start(WHAT, pools.writer, config, store)?;
                Shared { reader: pools.reader, writer, postgres: true }
            }
        };
        Ok(RegistryDatabase { shared: Arc::new(shared) })
    }

    /// The agents.
    pub fn repository(&self) -> Arc<dyn AgentRepository> {
        Arc::new(SqlAgentRepository::new(Arc::clone(&self.shared)))
    }

    /// Finishes the writes that wait, then closes the database. What is asked afterwards is answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared.writer.close().await;
        self.shared.reader.close().await
    }
}
