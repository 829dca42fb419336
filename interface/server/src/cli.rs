//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::roles::Role;

const EXAMPLES: &str = "\
Examples:
  hive run examples/plans/diamond.json            run a plan, from file to report
  hive run examples/plans/chain.json --data work  keep its tickets; the same command resumes it
  hive run plan.json --output json > result.json  the result for other programs
  hive up                                         serve everything on this machine
  hive serve tickets                              serve one role
  hive plan submit plan.json --watch              hand a plan to what is served, and follow it
  hive health                                     ask what is served how it is
  hive config dump > hive.env                     the settings in effect; change some, and call it .env

Exit codes: 0 success, 1 the plan did not succeed, 2 wrong input, 64 wrong command line or settings, 70 a defect.";

const RUN_EXAMPLES: &str = "\
The plan is a JSON message: a decision with its plan inside, a plan on its own, or a ledger entry. It is checked as a
whole; if anything is wrong with it, every error is printed and nothing is created.

Examples:
  hive run examples/plans/diamond.json
  hive run examples/plans/chain.json --data work   stop it at any moment, give the same command again, and it finishes
  hive run examples/plans/fan-out.json --agents 16
  generate-plan | hive run - --output json

Progress and logs go to stderr, the result to stdout.
Exit codes: 0 the plan succeeded; 1 it did not, was stopped, was rejected, or awaits approval; 2 the input is wrong;
64 the command line, the settings or the data folder are wrong; 70 a defect.";

const UP_EXAMPLES: &str = "\
gRPC with health and reflection: 50051 the registry, 50052 the tickets, 50053 orchestration. HTTP: 8000 the REST
interfaces, /health, /ready and /metrics; 9090 /metrics alone. In development bound to 127.0.0.1, without tokens.

Examples:
  hive up
  hive up --data work --agents 16
  HTTP_PORT=8080 GRPC__SERVER__PORT=6000 hive up
  curl localhost:8000/ready

SIGTERM drains: what runs has 10 seconds to finish, the second signal cuts it off. Open plans go on at the next start.
Exit codes: 0 drained; 64 the command line, the settings, a port or the data folder are wrong; 70 a defect.";

const SERVE_EXAMPLES: &str = "\
Roles in one process talk to each other within it; one that is not served here is reached over gRPC, at
EXECUTION_TICKET_SERVICE_HOST and _PORT, SERVICE_REGISTRY_HOST and _PORT. Processes with different roles may share a data
folder. A neighbour that is away is waited for: /ready says so. A PostgreSQL database that is away at the start is waited
for with the ports closed.

With one role, GRPC__SERVER__PORT is its port; else, and by default: 50051 registry, 50052 tickets, 50053 orchestration.
HTTP_PORT and PROMETHEUS_PORT must differ between processes on one machine.

Examples:
  hive serve tickets orchestration registry --data work
  HTTP_PORT=8001 PROMETHEUS_PORT=9091 hive serve agent --agents 8 --data work
  SERVICE_REGISTRY_HOST=registry.local hive serve orchestration

SIGTERM drains: what runs has 10 seconds to finish, the second signal cuts it off. Agents finish what they work on, give
the rest back and take leave.
Exit codes: 0 drained; 64 the command line, the settings, a port or the data folder are wrong; 70 a defect.";

const PLAN_EXAMPLES: &str = "\
Examples:
  hive plan submit examples/plans/diamond.json --watch
  hive plan submit plan.json --server http://orchestrator.local:50053

Progress goes to stderr, the result to stdout. While orchestration is away, for a minute at most, it is waited for.
Exit codes: 0 the plan was accepted, with --watch it succeeded; 1 it did not, was rejected, awaits approval, or
orchestration is not reached; 2 the input is wrong; 64 the command line or the settings are wrong.";

const HEALTH_EXAMPLES: &str = "\
Examples:
  hive health
  hive health --server http://10.0.0.7:50052 --server http://10.0.0.8:50053

Exit codes: 0 all serve; 1 one does not, or is not reached; 64 the command line or the settings are wrong.";

const CONFIG_EXAMPLES: &str = "\
Settings come from the environment, then from the file .env in the current folder, then from the defaults.

Examples:
  hive config check
  RETRY_MAX_INTERVAL_MS=5000 hive config dump
  hive config dump > hive.env";

/// Takes approved plans, makes durable tickets of their tasks, has them worked on, and reports.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "hive", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Run one plan in this process, from file to report. Opens no port
    Run(RunArgs),
    /// Serve everything on this machine: tickets, orchestration, the registry, and agents
    Up(UpArgs),
    /// Serve some of the roles; others are reached over gRPC
    Serve(ServeArgs),
    /// Hand plans to a running orchestration
    #[command(after_help = PLAN_EXAMPLES)]
    Plan {
        #[command(subcommand)]
        command: PlanCommand,
    },
    /// Ask servers how they are
    Health(HealthArgs),
    /// Look at the settings
    #[command(after_help = CONFIG_EXAMPLES)]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Create the databases of a data folder, or bring them up to date
    Migrate(MigrateArgs),
    /// Print the version
    Version,
}

/// What to do with the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with the settings, all of it; exit 0 when nothing is
    Check,
    /// Print the settings in effect, in the form of a .env file
    Dump,
}

/// How to run a plan.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// File with the plan; `-` reads it from stdin
    #[arg(value_name = "PLAN.json")]
    pub(crate) plan: PathBuf,
    /// Folder that keeps the tickets; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Built-in agents to start, each with 10 places
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) agents: u16,
    /// What to print at the end
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,
}

/// What to serve everything with.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = UP_EXAMPLES)]
pub(crate) struct UpArgs {
    /// Folder that keeps the tickets; made when it is not there
    #[arg(long, value_name = "DIR", default_value = ".hive")]
    pub(crate) data: PathBuf,
    /// Built-in agents to start, each with 10 places
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub(crate) agents: u16,
}

/// What to serve.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Roles of this process
    #[arg(value_name = "ROLE", value_enum, required = true, num_args = 1..)]
    pub(crate) roles: Vec<Role>,
    /// Folder that keeps what the roles know; made when it is not there
    #[arg(long, value_name = "DIR", default_value = ".hive")]
    pub(crate) data: PathBuf,
    /// With the role agent: agents to start, each with 10 places; 4 when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub(crate) agents: Option<u16>,
    /// With the role agent and no registry: what the agents are called, a number after it; the machine's name when not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What to do with plans.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum PlanCommand {
    /// Hand in a plan. Handing in the same plan again is safe
    Submit(SubmitArgs),
}

/// How to hand in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct SubmitArgs {
    /// File with the plan; `-` reads it from stdin
    #[arg(value_name = "PLAN.json")]
    pub(crate) plan: PathBuf,
    /// Follow the plan to its end
    #[arg(long)]
    pub(crate) watch: bool,
    /// Where orchestration is; on this machine when not given
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
}

/// Which servers to ask.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = HEALTH_EXAMPLES)]
pub(crate) struct HealthArgs {
    /// A gRPC server, may be repeated; registry, tickets and orchestration when not given
    #[arg(long, value_name = "URL")]
    pub(crate) server: Vec<String>,
}

/// What to print at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people
    Table,
    /// One JSON object: the result with all tickets, or the errors
    Json,
}

/// Which databases.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct MigrateArgs {
    /// Folder that keeps the tickets; made when it is not there
    #[arg(long, value_name = "DIR", default_value = ".hive")]
    pub(crate) data: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_a_plan_and_has_defaults() {
        let Ok(Command::Run(run)) = parse("hive run p.json") else { panic!("refused") };
        assert_eq!((run.agents, run.output, run.data), (4, OutputFormat::Table, None));
        let Ok(Command::Run(run)) = parse("hive run - --data d --agents 1000 --output json") else {
            panic!("refused")
        };
        assert_eq!((run.agents, run.output), (1_000, OutputFormat::Json));
        assert_eq!((run.plan, run.data), ("-".into(), Some("d".into())));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "hive",
            "hive run",
            "hive fly",
            "hive run p --agents 0",
            "hive run p --agents 1001",
            "hive run p --agents x",
            "hive run p --output xml",
            "hive run p q",
            "hive config",
            "hive config set",
            "hive serve",
            "hive serve beer",
            "hive serve agent --agents 1001",
        ] {
            assert!(parse(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn help_teaches_by_examples() {
        for line in [
            "hive --help",
            "hive run --help",
            "hive up --help",
            "hive serve --help",
            "hive plan submit --help",
            "hive health --help",
            "hive config --help",
        ] {
            let help = parse(line).unwrap_err();
            assert!(!help.use_stderr(), "{line}");
            assert!(help.to_string().contains("Examples:\n  "), "{line}: {help}");
        }
    }
}
