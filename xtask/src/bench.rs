//! `cargo xtask bench`: the numbers this project promises, on a release build, in one run.

use std::process::ExitCode;

use crate::workspace::cargo;

/// Builds the binary and the bench, then runs the measurements whose name contains one of `names`.
pub(crate) fn run(names: &[&str]) -> ExitCode {
    let build = ["build", "--release", "--package", "hive-server", "--package", "hive-bench"];
    let mut measure = vec!["run", "--release", "--quiet", "--package", "hive-bench", "--"];
    measure.extend(names);
    for arguments in [&build[..], &measure[..]] {
        match cargo(arguments).status() {
            Ok(status) if status.success() => {}
            Ok(_) => return ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cargo cannot be run: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
