//! The ticket context's database: tickets with their history, and the outbox read as a log.

#[expect(unreachable_pub, reason = "the derives of sea-orm put the models into public traits")]
mod entity;
mod hot;
mod log;
mod mapping;
mod operation;
mod payload;
mod repository;
mod store;
mod tail;

use std::sync::Arc;

use hive_application::error::Error;
use hive_application::tickets::{TicketLog, TicketRepository};
use hive_migration::tickets::Schema;
use sea_orm::DatabaseConnection;

use crate::database::{Config, Database};
use crate::failure;
use crate::writer::Writer;
use log::SqlTicketLog;
use repository::SqlTicketRepository;
use store::{Store, View};

/// How this database is called in errors.
const WHAT: &str = "the ticket store";

/// The open ticket database.
#[derive(Debug)]
pub struct TicketDatabase {
    shared: Arc<Shared>,
}

/// What the ports of this database share.
#[derive(Debug)]
struct Shared {
    reader: DatabaseConnection,
    writer: Writer<Store>,
    view: Arc<View>,
}

impl TicketDatabase {
    /// Opens or makes the database and brings its schema up to date. `Unavailable` when that is impossible.
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let Database { writer, reader } = Database::open::<Schema>(WHAT, config).await?;
        let end = log::newest(&reader).await.map_err(failure::read(WHAT))?;
        let view = Arc::new(View::new(end, config));
        let store = Store::new(Arc::clone(&view));
        let writer = Writer::start(WHAT, writer, config.queue, config.batch, store).await?;
        Ok(TicketDatabase { shared: Arc::new(Shared { reader, writer, view }) })
    }

    /// The tickets.
    pub fn repository(&self) -> Arc<dyn TicketRepository> {
        Arc::new(SqlTicketRepository::new(Arc::clone(&self.shared)))
    }

    /// The log of their changes.
    pub fn log(&self) -> Arc<dyn TicketLog> {
        Arc::new(SqlTicketLog::new(Arc::clone(&self.shared)))
    }

    /// Finishes the writes that wait, then closes the file. What is asked afterwards is answered `Unavailable`.
    pub async fn close(&self) -> Result<(), Error> {
        self.shared.writer.close().await;
        self.shared.reader.close_by_ref().await.map_err(failure::read(WHAT))
    }
}
