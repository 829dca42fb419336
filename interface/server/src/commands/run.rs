//! `hive run`: one plan in this process, from file to report.

use std::sync::Arc;
use std::time::Instant;

use hive_application::context::CallContext;
use hive_application::error::Error;
use hive_application::orchestration::{Orchestration, Submission};
use hive_application::tickets::Tickets;
use hive_domain::ids::PlanId;
use hive_domain::orchestration::finding::Findings;
use hive_events::PlanIntake;

use super::input;
use super::report::{Ran, Report};
use super::storage::Storage;
use crate::background::Background;
use crate::cli::RunArgs;
use crate::console::{Output, Screen};
use crate::convert::NotRun;
use crate::exit::{Exit, Failure};
use crate::lock::DataFolder;
use crate::output::findings::warnings;
use crate::progress::Reporter;
use crate::roles::Roles;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::wire::agents::Agents;
use crate::wire::{Hive, PRINCIPAL};

/// How a run ended.
enum Ending {
    Ran(Box<Ran>),
    NotRun(PlanId, NotRun),
    Refused(Findings),
    Stopped,
}

/// Runs the plan.
pub(super) fn execute(args: &RunArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let screen = Screen::for_progress();
    let roles = Roles::all();
    let _telemetry = Telemetry::start(settings, &roles, &screen)?;
    let mut report = Report { format: args.output, output, screen: &screen, input: input::name(&args.plan) };
    let message = match input::read(&args.plan, &settings.orchestration.limits()) {
        Ok(message) => message,
        Err(error) => return report.unreadable(&error),
    };
    let folder = match &args.data {
        Some(path) => DataFolder::take(path),
        None => DataFolder::temporary(),
    };
    let folder = folder.map_err(|error| Failure::Usage(error.to_string()))?;
    let storage = Storage { folder: &folder, roles: &roles, settings };
    let run = Run { agents: args.agents, settings, screen: &screen, storage, begun };
    match super::runtime()?.block_on(run.finish(message))? {
        Ending::Ran(ran) => report.ran(*ran),
        Ending::NotRun(plan_id, status) => report.not_run(&plan_id, status),
        Ending::Refused(findings) => report.refused(&findings),
        Ending::Stopped => Ok(report.stopped(folder.is_kept())),
    }
}

struct Run<'a> {
    agents: u16,
    settings: &'a Settings,
    screen: &'a Screen,
    storage: Storage<'a>,
    begun: Instant,
}

impl Run<'_> {
    async fn finish(&self, message: Vec<u8>) -> Result<Ending, Failure> {
        let io = |error: std::io::Error| Failure::Usage(format!("hive cannot start: {error}"));
        let mut signals = Signals::listen().map_err(io)?;
        let stores = tokio::select! {
            stores = self.storage.open() => stores?,
            () = signals.stop() => return Ok(Ending::Stopped),
        };
        let reporter = Reporter::start(self.screen.clone()).map_err(io)?;
        let hive = Hive::new(&stores, self.settings, Arc::clone(&reporter) as _)?;
        let mut background = Background::default();
        let ending = tokio::select! {
            ending = self.work(&hive, message, &mut background) => ending,
            () = signals.stop() => Ok(Ending::Stopped),
        };
        signals.abort_at_next();
        background.stop().await;
        // First what must not be lost, then what is only shown.
        stores.close().await;
        reporter.end();
        ending
    }

    /// Starts what Flow C needs, then takes the plan through it.
    async fn work(
        &self,
        hive: &Hive,
        message: Vec<u8>,
        background: &mut Background,
    ) -> Result<Ending, Failure> {
        let (Some(tickets), Some(orchestration)) = (&hive.tickets, &hive.orchestration) else {
            return Err(Failure::Defect(Error::internal("a run has all roles")));
        };
        let agents =
            Agents::hosted(hive, self.agents, background).await.map_err(|error| self.blame(error))?;
        agents.keep_going(background);
        hive.keep_going(self.settings, background);
        tokio::select! {
            ending = self.plan(tickets, orchestration, message) => ending,
            error = background.failure() => Err(error.into()),
        }
    }

    async fn plan(
        &self,
        tickets: &Tickets,
        orchestration: &Orchestration,
        message: Vec<u8>,
    ) -> Result<Ending, Failure> {
        let context = CallContext::internal(PRINCIPAL);
        let intake = PlanIntake::new(orchestration.validate.clone());
        let taken = intake.take(&context, &message).await.map_err(|error| self.blame(error))?;
        drop(message);
        let (outcome, wall_ms) = match taken {
            Submission::Open { workflow_id, findings, .. } => {
                self.warn(&findings);
                let outcome = orchestration.driver.execute(&workflow_id).await?;
                (outcome, Some(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)))
            }
            Submission::Ended { outcome, findings, .. } => {
                self.warn(&findings);
                (outcome, None)
            }
            Submission::Invalid(findings) => return Ok(Ending::Refused(findings)),
            Submission::Rejected(of) => return Ok(Ending::NotRun(of.plan_id, NotRun::Rejected)),
            Submission::AwaitingApproval(of) => {
                return Ok(Ending::NotRun(of.plan_id, NotRun::AwaitingApproval));
            }
        };
        let ran = Ran::collect(tickets, &outcome, wall_ms).await;
        Ok(Ending::Ran(Box::new(ran.map_err(|error| self.blame(error))?)))
    }

    fn warn(&self, findings: &Findings) {
        self.screen.write(warnings(findings).as_bytes());
    }

    /// A failure before or after the flow. In between, what is only away for a while is waited for.
    fn blame(&self, error: Error) -> Failure {
        self.storage.blame(error)
    }
}
