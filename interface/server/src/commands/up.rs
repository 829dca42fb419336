//! `hive up`: the whole platform on one machine, until it is told to stop.

use std::sync::Arc;

use hive_application::error::Error;

use crate::background::Background;
use crate::cli::UpArgs;
use crate::console::Screen;
use crate::exit::{Exit, Failure};
use crate::lock::DataFolder;
use crate::serve::metrics::Metrics;
use crate::serve::{Plan, Sockets};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::wire::Hive;
use crate::wire::agents::Agents;
use crate::wire::stores::Stores;

/// Serves until told to stop.
pub(super) fn execute(args: &UpArgs, settings: &Settings) -> Result<Exit, Failure> {
    let screen = Screen::plain();
    let telemetry = Telemetry::start(settings, &screen)?;
    let plan = Plan::check(settings)?.telling(telemetry.of_servers());
    let folder = DataFolder::take(&args.data).map_err(|error| Failure::Usage(error.to_string()))?;
    let metrics = Arc::new(Metrics::install()?);
    let up = Up { agents: args.agents, settings, screen, folder, metrics };
    let runtime = plan.runtime()?;
    runtime.block_on(up.serve(plan))
}

struct Up<'a> {
    agents: u16,
    settings: &'a Settings,
    screen: Screen,
    folder: DataFolder,
    metrics: Arc<Metrics>,
}

impl Up<'_> {
    async fn serve(&self, plan: Plan) -> Result<Exit, Failure> {
        let io = |error: std::io::Error| Failure::Usage(format!("hive cannot start: {error}"));
        let signals = Signals::listen().map_err(io)?;
        // Before anything is begun: a port in use must not cost agents their epoch.
        let sockets = Sockets::open(&plan).await?;
        let stores = Stores::open(&self.folder).await.map_err(|error| self.blame(error))?;
        let hive = Hive::new(&stores, self.settings, Arc::clone(&self.metrics) as _)
            .map_err(|error| Failure::Defect(error.into()))?;
        let mut background = Background::default();
        let served = self.work(&hive, plan, sockets, signals, &mut background).await;
        background.stop().await;
        stores.close().await;
        served.map(|()| Exit::Success)
    }

    async fn work(
        &self,
        hive: &Hive,
        plan: Plan,
        sockets: Sockets,
        signals: Signals,
        background: &mut Background,
    ) -> Result<(), Failure> {
        let servers = plan.servers(hive, &self.metrics)?;
        let agents = Agents::register(hive, self.agents).await.map_err(|error| self.blame(error))?;
        hive.keep_going(self.settings, agents, background);
        hive.supervise(background);
        hive.count(background);
        self.screen.write(sockets.to_string().as_bytes());
        tokio::select! {
            () = servers.serve(sockets, signals) => Ok(()),
            error = background.failure() => Err(error.into()),
        }
    }

    /// A failure before anything is served.
    fn blame(&self, error: Error) -> Failure {
        if error.is_transient() {
            Failure::Start(format!("data folder {}", self.folder.display()), error)
        } else {
            Failure::Defect(error)
        }
    }
}
