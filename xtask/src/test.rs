//! `cargo xtask test`: every check a change must pass, cheapest first, stopping at the first that fails.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use crate::step::{Ending, Step, Tool};

const DENY: Tool = Tool {
    name: "cargo-deny",
    command: &["cargo", "deny"],
    install: "`cargo install cargo-deny --locked` installs it",
};

const VALGRIND: Tool =
    Tool { name: "valgrind", command: &["valgrind"], install: "`apt-get install valgrind` installs it" };

const STEPS: &[Step] = &[
    Step {
        name: "format",
        arguments: &["fmt", "--all", "--check"],
        environment: &[],
        needs: None,
        database: false,
    },
    Step {
        name: "architecture",
        arguments: &["test", "--quiet", "--package", "hive-architecture"],
        environment: &[],
        needs: None,
        database: false,
    },
    Step {
        name: "deny",
        arguments: &["deny", "--all-features", "check", "bans", "licenses", "sources"],
        environment: &[],
        needs: Some(DENY),
        database: false,
    },
    Step {
        name: "clippy",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        environment: &[],
        needs: None,
        database: false,
    },
    Step {
        name: "documentation",
        arguments: &["doc", "--no-deps", "--workspace"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        needs: None,
        database: false,
    },
    Step {
        name: "tests",
        arguments: &["test", "--workspace"],
        environment: &[],
        needs: None,
        database: true,
    },
    // The last, since only this one builds with optimisation.
    Step {
        name: "instructions",
        arguments: &["xtask", "instructions"],
        environment: &[],
        needs: Some(VALGRIND),
        database: false,
    },
];

pub(crate) fn run() -> ExitCode {
    let everything = env::var_os("CI").is_some();
    let mut summary = Vec::new();
    let mut passed = true;
    for (index, step) in STEPS.iter().enumerate() {
        println!("[{}/{}] {}: {}", index + 1, STEPS.len(), step.name, step.shown());
        let (ending, took) = step.run(everything);
        passed = !matches!(ending, Ending::Failed(_));
        summary.push(line(step.name, &ending, took));
        if !passed {
            break;
        }
    }
    println!("\n{}", summary.join("\n"));
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line of the closing table: name, seconds, how it ended.
fn line(name: &str, ending: &Ending, took: Duration) -> String {
    let (word, reason) = match ending {
        Ending::Passed => ("passed", ""),
        Ending::Skipped(reason) => ("skipped: ", reason.as_str()),
        Ending::Failed(reason) => ("FAILED: ", reason.as_str()),
    };
    format!("{name:<14} {:>7.1} s  {word}{reason}", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_steps_come_before_anything_that_builds_the_workspace() {
        let heavy = |step: &Step| step.arguments.contains(&"--workspace") || step.name == "instructions";
        let first_heavy = STEPS.iter().position(heavy).expect("a heavy step");
        assert!(STEPS[first_heavy..].iter().all(heavy));
        assert!(STEPS[..first_heavy].iter().any(|step| step.name == "architecture"));
    }

    #[test]
    fn the_table_tells_how_each_step_ended() {
        let took = Duration::from_millis(1_250);
        assert_eq!(line("format", &Ending::Passed, took), "format             1.2 s  passed");
        assert!(line("deny", &Ending::Failed("absent".into()), took).ends_with("FAILED: absent"));
        assert!(line("deny", &Ending::Skipped("absent".into()), took).ends_with("skipped: absent"));
    }
}
