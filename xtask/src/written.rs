//! Files that are written by a command: the list of dependencies and the reference of the kit's settings.
//!
//! For each, a test both writes and compares the file, so that the two cannot disagree about its form.

use std::process::ExitCode;

use crate::workspace::cargo;

/// A file and the test that writes it.
pub(crate) struct Written {
    path: &'static str,
    /// Arguments of `cargo test`.
    test: &'static [&'static str],
    /// The variable that has the test write.
    variable: &'static str,
}

/// `cargo xtask dependencies`.
pub(crate) const DEPENDENCIES: Written = Written {
    path: "tests/architecture/dependencies.txt",
    test: &["--package", "hive-architecture", "--test", "rules", "dependencies::"],
    variable: "HIVE_WRITE_DEPENDENCIES",
};

/// `cargo xtask reference`.
pub(crate) const REFERENCE: Written = Written {
    path: "docs/reference/grpc-kit-settings.md",
    test: &["--package", "hive-grpc-kit", "--lib", "settings::reference::"],
    variable: "HIVE_WRITE_REFERENCE",
};

pub(crate) fn run(file: &Written) -> ExitCode {
    let test = [&["test", "--quiet"], file.test].concat();
    match cargo(&test).env(file.variable, "1").status() {
        Ok(status) if status.success() => {
            println!("{} is up to date; its diff shows what changed", file.path);
            ExitCode::SUCCESS
        }
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
