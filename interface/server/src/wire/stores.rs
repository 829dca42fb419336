//! The databases of a data folder: one for each context, since contexts share no table.

use std::time::Duration;

use futures_util::FutureExt;
use hive_application::error::{Error, chain};
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, TicketDatabase};

use crate::lock::DataFolder;
use crate::roles::{Role, Roles};

const TICKETS: &str = "tickets.db";
const ORCHESTRATION: &str = "orchestration.db";
const REGISTRY: &str = "registry.db";

/// How long closing may take. Everything acknowledged is on disk before.
const CLOSING: Duration = Duration::from_secs(5);

/// The open databases: those of the roles that are served.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(super) tickets: Option<TicketDatabase>,
    pub(super) orchestration: Option<OrchestrationDatabase>,
    pub(super) registry: Option<RegistryDatabase>,
}

impl Stores {
    /// The files, as they are called in a data folder.
    pub(crate) const FILES: [&'static str; 3] = [TICKETS, ORCHESTRATION, REGISTRY];

    /// Opens the databases, making those that are not there and bringing their schemas up to date.
    pub(crate) async fn open(folder: &DataFolder, roles: &Roles) -> Result<Self, Error> {
        let config = |name| Config::new(folder.file(name));
        let mut stores = Stores { tickets: None, orchestration: None, registry: None };
        if roles.has(Role::Tickets) {
            stores.tickets = Some(TicketDatabase::open(&config(TICKETS)).await?);
        }
        if roles.has(Role::Orchestration) {
            stores.orchestration = Some(OrchestrationDatabase::open(&config(ORCHESTRATION)).await?);
        }
        if roles.has(Role::Registry) {
            stores.registry = Some(RegistryDatabase::open(&config(REGISTRY)).await?);
        }
        Ok(stores)
    }

    /// Finishes writes that wait and closes the files.
    pub(crate) async fn close(&self) {
        let closing = async {
            let tickets = self.tickets.iter().map(|database| database.close().boxed());
            let orchestration = self.orchestration.iter().map(|database| database.close().boxed());
            let registry = self.registry.iter().map(|database| database.close().boxed());
            for closed in tickets.chain(orchestration).chain(registry) {
                if let Err(error) = closed.await {
                    tracing::warn!(error = chain(&error), "a database did not close");
                }
            }
        };
        if tokio::time::timeout(CLOSING, closing).await.is_err() {
            tracing::warn!("the databases did not close in time");
        }
    }
}
