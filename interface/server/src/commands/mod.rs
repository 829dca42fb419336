//! The commands of the binary, one file each.

mod config;
mod health;
mod input;
mod migrate;
mod plan;
mod report;
mod run;
mod serve;
mod server;
mod storage;
mod version;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::cli::{Cli, Command, PlanCommand};
use crate::console::Output;
use crate::exit::{Exit, Failure};
use crate::logging;
use crate::settings::{Effective, Settings, Sources};

/// Does what the command line of the process says, and tells how it went.
pub(crate) fn execute() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let _ = told.print();
            return if told.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    // A panic was told by its hook; what it left behind is not looked at again.
    let done = catch_unwind(AssertUnwindSafe(|| command(cli.command, &mut Output::stdout())));
    match done {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            let message = failure.message();
            // The cause of a defect, told only now.
            logging::flush();
            let _ = writeln!(std::io::stderr(), "hive: {message}");
            failure.exit()
        }
        Err(_panic) => Exit::Defect,
    }
}

fn command(command: Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::execute(&args, &settings()?.0, output),
        Command::Up(args) => serve::up(&args, &settings()?),
        Command::Serve(args) => serve::execute(&args, &settings()?),
        Command::Plan { command: PlanCommand::Submit(args) } => plan::submit(&args, &settings()?.0, output),
        Command::Health(args) => health::execute(&args, &settings()?.0, output),
        Command::Config { command } => config::execute(command, settings()?, output),
        Command::Migrate(args) => migrate::execute(&args, &settings()?.0, output),
        Command::Version => version::execute(output),
    }
}

fn settings() -> Result<(Settings, Effective), Failure> {
    Settings::read(&Sources::of_process()).map_err(|error| Failure::Usage(format!("wrong settings\n{error}")))
}

/// The runtime that a command works in.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Usage(format!("threads cannot be started: {error}")))
}
