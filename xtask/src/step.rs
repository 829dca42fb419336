//! One step of a command: a call of cargo, what must be installed for it, how it went.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::postgres::Server;
use crate::workspace::cargo;

/// A call of cargo with a name people can talk about.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Arguments of cargo.
    pub(crate) arguments: &'static [&'static str],
    /// Environment variables set for this step only.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// The tool that may be absent, and the command that installs it.
    pub(crate) needs: Option<Tool>,
    /// Whether it uses a PostgreSQL server.
    pub(crate) database: bool,
}

/// A tool that does not come with the toolchain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The program, and its arguments before `--version`.
    pub(crate) command: &'static [&'static str],
    pub(crate) install: &'static str,
}

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Passed,
    /// Left out, and why.
    Skipped(String),
    /// Why.
    Failed(String),
}

impl Step {
    /// The command as one would type it.
    pub(crate) fn shown(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}=\"{value}\" "));
        format!("{}cargo {}", variables.collect::<String>(), self.arguments.join(" "))
    }

    /// Runs the step. What is missing fails it only where `everything` is demanded, as CI does.
    pub(crate) fn run(&self, everything: bool) -> (Ending, Duration) {
        let start = Instant::now();
        let ending = match self.needs.filter(|tool| !tool.is_installed()) {
            Some(tool) => tool.absence(everything),
            None => self.call(everything),
        };
        (ending, start.elapsed())
    }

    fn call(&self, everything: bool) -> Ending {
        let mut command = cargo(self.arguments);
        command.envs(self.environment.iter().copied());
        // It ends with this function, however the step ends.
        let server = self.database.then(Server::start);
        match &server {
            Some(Server::Absent(reason)) if everything => return Ending::Failed(reason.clone()),
            Some(Server::Absent(reason)) => println!("nothing is tested on PostgreSQL: {reason}"),
            _ => {}
        }
        command.envs(server.as_ref().and_then(Server::variable));
        match command.status() {
            Ok(status) if status.success() => Ending::Passed,
            Ok(status) => Ending::Failed(status.to_string()),
            Err(error) => Ending::Failed(format!("cargo does not start: {error}")),
        }
    }
}

impl Tool {
    fn is_installed(self) -> bool {
        let [program, arguments @ ..] = self.command else { return false };
        let output = Command::new(program).args(arguments).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    }

    fn absence(self, everything: bool) -> Ending {
        let reason = format!("{} is not installed; {}", self.name, self.install);
        if everything { Ending::Failed(reason) } else { Ending::Skipped(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(arguments: &'static [&'static str], needs: Option<Tool>) -> Step {
        Step {
            name: "sample",
            arguments,
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
            needs,
            database: false,
        }
    }

    #[test]
    fn a_step_is_shown_as_one_would_type_it() {
        assert_eq!(
            step(&["doc", "--no-deps"], None).shown(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps"
        );
    }

    #[test]
    fn a_step_passes_or_fails_with_its_command() {
        assert_eq!(step(&["--version"], None).run(true).0, Ending::Passed);
        assert!(matches!(step(&["--no-such-flag"], None).run(false).0, Ending::Failed(_)));
    }

    #[test]
    fn a_missing_tool_is_skipped_at_home_and_fails_in_ci() {
        let command = &["cargo", "no-such-subcommand"];
        let absent = Tool { name: "cargo-no-such-subcommand", command, install: "install it" };
        let step = step(&["--version"], Some(absent));
        assert!(matches!(step.run(false).0, Ending::Skipped(reason) if reason.ends_with("install it")));
        assert!(matches!(step.run(true).0, Ending::Failed(_)));
    }
}
