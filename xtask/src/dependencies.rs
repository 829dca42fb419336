//! `cargo xtask dependencies`: rewrites `tests/architecture/dependencies.txt`.
//!
//! The architecture test both writes and compares the list, so that the two cannot disagree about its form.

use std::process::ExitCode;

use crate::workspace::cargo;

const LIST: &str = "tests/architecture/dependencies.txt";

pub(crate) fn run() -> ExitCode {
    let test = ["test", "--quiet", "--package", "hive-architecture", "--test", "rules", "dependencies::"];
    match cargo(&test).env("HIVE_WRITE_DEPENDENCIES", "1").status() {
        Ok(status) if status.success() => {
            println!("{LIST} is up to date; its diff shows what changed");
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
