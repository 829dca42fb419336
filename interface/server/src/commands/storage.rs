//! Where the data of a command is: opened, waited for, and named when it does not work.

use std::time::Duration;

use hive_application::error::{Error, ErrorKind, chain};

use crate::exit::Failure;
use crate::lock::DataFolder;
use crate::roles::{Role, Roles};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::wire::stores::Stores;

/// Wait before a server is tried again; doubles each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The databases of some roles.
pub(super) struct Storage<'a> {
    pub(super) folder: &'a DataFolder,
    pub(super) roles: &'a Roles,
    pub(super) settings: &'a Settings,
}

impl Storage<'_> {
    /// Opens the databases.
    pub(super) async fn open(&self) -> Result<Stores, Failure> {
        Stores::open(self.folder, self.roles, self.settings).await.map_err(|error| self.blame(error))
    }

    /// Opens the databases. A server that is away is waited for; none when it is time to stop before it is back.
    pub(super) async fn await_open(&self, signals: &mut Signals) -> Result<Option<Stores>, Failure> {
        let mut wait = FIRST_WAIT;
        loop {
            let opened = tokio::select! {
                opened = Stores::open(self.folder, self.roles, self.settings) => opened,
                () = signals.stop() => return Ok(None),
            };
            match opened {
                Ok(stores) => return Ok(Some(stores)),
                Err(error) if error.is_transient() && !self.servers().is_empty() => {
                    tracing::warn!(error = chain(&error), "waiting for {}", self.place());
                }
                Err(error) => return Err(self.blame(error)),
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = signals.stop() => return Ok(None),
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// A failure of what keeps the data. What waiting would help against, and what refuses, is for the user to put right.
    pub(super) fn blame(&self, error: Error) -> Failure {
        let users = error.is_transient() || error.kind() == ErrorKind::FailedPrecondition;
        if users { Failure::Start(self.place(), error) } else { Failure::Defect(error) }
    }

    fn place(&self) -> String {
        let servers = self.servers();
        if servers.is_empty() {
            format!("data folder {}", self.folder.display())
        } else {
            format!("database {}", servers.join(", "))
        }
    }

    /// The databases that are on servers, each once.
    fn servers(&self) -> Vec<String> {
        let settings = self.settings;
        let databases = [
            (Role::Tickets, settings.tickets.database()),
            (Role::Orchestration, settings.orchestration.database()),
            (Role::Registry, settings.registry.database()),
        ];
        let served = databases.into_iter().filter(|(role, _)| self.roles.has(*role));
        let mut servers: Vec<String> = served.filter_map(|(_, server)| Some(server?.to_string())).collect();
        servers.dedup();
        servers
    }
}
