//! The databases of a data folder: one for each context, since contexts share no table.

use std::time::Duration;

use hive_application::error::{Error, chain};
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, TicketDatabase};

use crate::lock::DataFolder;

const TICKETS: &str = "tickets.db";
const ORCHESTRATION: &str = "orchestration.db";
const REGISTRY: &str = "registry.db";

/// How long closing may take. Everything acknowledged is on disk before.
const CLOSING: Duration = Duration::from_secs(5);

/// The open databases.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(super) tickets: TicketDatabase,
    pub(super) orchestration: OrchestrationDatabase,
    pub(super) registry: RegistryDatabase,
}

impl Stores {
    /// The files, as they are called in a data folder.
    pub(crate) const FILES: [&'static str; 3] = [TICKETS, ORCHESTRATION, REGISTRY];

    /// Opens the databases, making those that are not there and bringing their schemas up to date.
    pub(crate) async fn open(folder: &DataFolder) -> Result<Self, Error> {
        let config = |name| Config::new(folder.file(name));
        Ok(Stores {
            tickets: TicketDatabase::open(&config(TICKETS)).await?,
            orchestration: OrchestrationDatabase::open(&config(ORCHESTRATION)).await?,
            registry: RegistryDatabase::open(&config(REGISTRY)).await?,
        })
    }

    /// Finishes writes that wait and closes the files.
    pub(crate) async fn close(&self) {
        let closing = async {
            for closed in
                [self.tickets.close().await, self.orchestration.close().await, self.registry.close().await]
            {
                if let Err(error) = closed {
                    tracing::warn!(error = chain(&error), "a database did not close");
                }
            }
        };
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("the databases did not close in time");
        }
    }
}
