//! The databases: one for each context, since contexts share no table; a file of the data folder, or a server.

use std::time::Duration;

use futures_util::FutureExt;
use hive_application::error::{Error, chain};
use hive_sql::{Config, OrchestrationDatabase, RegistryDatabase, Server, TicketDatabase};

use crate::lock::DataFolder;
use crate::roles::{Role, Roles};
use crate::settings::Settings;

const TICKETS: &str = "tickets.db";
const ORCHESTRATION: &str = "orchestration.db";
const REGISTRY: &str = "registry.db";

/// How long closing may take. Everything acknowledged is on disk before.
const CLOSING: Duration = Duration::from_secs(5);

/// The file of each context, and the server that takes its place.
fn databases(settings: &Settings) -> [(&'static str, Option<Server>); 3] {
    [
        (TICKETS, settings.tickets.database()),
        (ORCHESTRATION, settings.orchestration.database()),
        (REGISTRY, settings.registry.database()),
    ]
    .map(|(file, server)| (file, server.map(|server| settings.allowed(server))))
}

/// The open databases: those of the roles that are served.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(super) tickets: Option<TicketDatabase>,
    pub(super) orchestration: Option<OrchestrationDatabase>,
    pub(super) registry: Option<RegistryDatabase>,
}

impl Stores {
    /// Opens the databases, making those that are not there and bringing their schemas up to date.
    pub(crate) async fn open(folder: &DataFolder, roles: &Roles, settings: &Settings) -> Result<Self, Error> {
        let [tickets, orchestration, registry] = databases(settings).map(|(file, server)| {
            let config = match server {
                Some(server) => Config::postgres(server),
                None => Config::new(folder.file(file)),
            };
            Config { slow: Duration::from_millis(settings.slow_query_ms), ..config }
        });
        let tickets = Config { retention: settings.tickets.retention(), ..tickets };
        let orchestration = Config { retention: settings.orchestration.retention(), ..orchestration };
        let mut stores = Stores { tickets: None, orchestration: None, registry: None };
        if roles.has(Role::Tickets) {
            stores.tickets = Some(TicketDatabase::open(&tickets).await?);
        }
        if roles.has(Role::Orchestration) {
            stores.orchestration = Some(OrchestrationDatabase::open(&orchestration).await?);
        }
        if roles.has(Role::Registry) {
            stores.registry = Some(RegistryDatabase::open(&registry).await?);
        }
        Ok(stores)
    }

    /// Where the databases are: files of the data folder, or servers.
    pub(crate) fn places(settings: &Settings) -> [String; 3] {
        databases(settings)
            .map(|(file, server)| server.map_or_else(|| file.to_owned(), |server| server.to_string()))
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
