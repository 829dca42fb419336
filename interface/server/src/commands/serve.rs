//! `hive serve` and `hive up`: some roles, or the whole platform on one machine, until told to stop.

use std::pin::pin;
use std::sync::Arc;

use hive_grpc_kit::drain::Shutdown;

use super::storage::Storage;
use crate::background::Background;
use crate::cli::{ServeArgs, UpArgs};
use crate::console::Screen;
use crate::exit::{Exit, Failure};
use crate::lock::DataFolder;
use crate::roles::{Role, Roles};
use crate::serve::metrics::Metrics;
use crate::serve::{Plan, Sockets};
use crate::settings::{Effective, Settings};
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::wire::Hive;
use crate::wire::agents::Agents;
use crate::wire::link;
use crate::wire::stores::Stores;

/// Agents of a process that is to have some, when nobody says how many.
const AGENTS: u16 = 4;

/// Serves everything until told to stop.
pub(super) fn up(args: &UpArgs, settings: &(Settings, Effective)) -> Result<Exit, Failure> {
    let hosting = Hosting { agents: args.agents, name: String::new() };
    serve(Roles::all(), hosting, settings, || DataFolder::take(&args.data))
}

/// Serves some roles until told to stop.
pub(super) fn execute(args: &ServeArgs, settings: &(Settings, Effective)) -> Result<Exit, Failure> {
    let roles = Roles::of(&args.roles);
    let unused = |flag, needs| Err(Failure::Usage(format!("{flag} says nothing to these roles: {needs}")));
    if args.agents.is_some() && !roles.has(Role::Agent) {
        return unused("--agents", "it is for the role agent");
    }
    if args.name.is_some() && (!roles.has(Role::Agent) || roles.has(Role::Registry)) {
        return unused("--name", "it is for the role agent without the registry beside it");
    }
    let locks = roles.locks();
    let hosting =
        Hosting { agents: args.agents.unwrap_or(AGENTS), name: args.name.clone().unwrap_or_else(machine) };
    serve(roles, hosting, settings, || DataFolder::take_parts(&args.data, &locks))
}

fn serve(
    roles: Roles,
    hosting: Hosting,
    (settings, effective): &(Settings, Effective),
    folder: impl FnOnce() -> Result<DataFolder, crate::lock::FolderError>,
) -> Result<Exit, Failure> {
    let screen = Screen::plain();
    let telemetry = Telemetry::start(settings, &roles, &screen)?;
    link::check(settings, &roles)?;
    let plan = Plan::check(settings, &roles, effective)?.telling(telemetry.of_servers());
    let folder = folder().map_err(|error| Failure::Usage(error.to_string()))?;
    let metrics = Arc::new(Metrics::install()?);
    let process = Process { roles, hosting, settings, screen, folder, metrics };
    let runtime = plan.runtime()?;
    runtime.block_on(process.serve(plan))
}

/// The name of this machine, as far as it is fit for an id.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.');
    let name: String = name.trim().chars().filter(fit).take(200).collect();
    if name.is_empty() { "agent".to_owned() } else { name }
}

/// The agents of the process.
struct Hosting {
    agents: u16,
    name: String,
}

struct Process<'a> {
    roles: Roles,
    hosting: Hosting,
    settings: &'a Settings,
    screen: Screen,
    folder: DataFolder,
    metrics: Arc<Metrics>,
}

impl Process<'_> {
    async fn serve(&self, plan: Plan) -> Result<Exit, Failure> {
        let io = |error: std::io::Error| Failure::Usage(format!("hive cannot start: {error}"));
        let mut signals = Signals::listen().map_err(io)?;
        // Before anything is made or begun: a port in use must not cost anything. Then the databases, since on an open
        // port that nobody serves a caller waits in vain.
        drop(Sockets::open(&plan).await?);
        let Some(stores) = self.storage().await_open(&mut signals).await? else { return Ok(Exit::Success) };
        let mut background = Background::default();
        let served = self.begin(&stores, plan, signals, &mut background).await;
        background.stop().await;
        stores.close().await;
        served.map(|()| Exit::Success)
    }

    async fn begin(
        &self,
        stores: &Stores,
        plan: Plan,
        signals: Signals,
        background: &mut Background,
    ) -> Result<(), Failure> {
        let sockets = Sockets::open(&plan).await?;
        let hive = Hive::new(stores, self.settings, Arc::clone(&self.metrics) as _)?;
        self.work(&hive, plan, sockets, signals, background).await
    }

    async fn work(
        &self,
        hive: &Hive,
        plan: Plan,
        sockets: Sockets,
        mut signals: Signals,
        background: &mut Background,
    ) -> Result<(), Failure> {
        let (shutdown, drain) = (Shutdown::new(), plan.drain());
        let servers = plan.servers(hive, &self.metrics, background.failed(), &sockets)?;
        let agents = tokio::select! {
            agents = self.agents(hive, &shutdown, background) => agents?,
            () = signals.stop() => return Ok(()),
        };
        hive.keep_going(self.settings, background);
        hive.supervise(background);
        hive.count(background);
        agents.keep_going(background);
        self.screen.write(sockets.to_string().as_bytes());
        let mut begun = shutdown.draining();
        let leaving = async {
            begun.draining().await;
            let _ = tokio::time::timeout(drain, agents.left()).await;
        };
        let serving = async {
            let mut leaving = pin!(leaving);
            let mut left = false;
            {
                let mut servers = pin!(servers.serve(sockets, &shutdown, &mut signals));
                loop {
                    tokio::select! {
                        () = &mut servers => break,
                        () = &mut leaving, if !left => left = true,
                    }
                }
            }
            if !left {
                tokio::select! {
                    () = leaving => {}
                    () = signals.stop() => {}
                }
            }
        };
        tokio::select! {
            () = serving => Ok(()),
            error = background.failure() => Err(error.into()),
        }
    }

    async fn agents(
        &self,
        hive: &Hive,
        shutdown: &Shutdown,
        background: &mut Background,
    ) -> Result<Agents, Failure> {
        let Hosting { agents, name } = &self.hosting;
        let agents = if self.roles.has(Role::Agent) { *agents } else { 0 };
        if self.roles.has(Role::Registry) {
            let hosted = Agents::hosted(hive, agents, background).await;
            return hosted.map_err(|error| self.storage().blame(error));
        }
        Agents::guests(hive, agents, name, &self.folder, &shutdown.draining())
    }

    fn storage(&self) -> Storage<'_> {
        Storage { folder: &self.folder, roles: &self.roles, settings: self.settings }
    }
}
