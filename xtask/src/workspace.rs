//! Running cargo in the root of the workspace, wherever the tool was called from.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A cargo command that will run in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(path(""));
    command
}

/// A path below the root of the workspace.
pub(crate) fn path(below: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).join(below)
}
