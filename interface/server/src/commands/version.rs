//! `hive version`.

use crate::console::Output;
use crate::exit::{Exit, Failure};

/// Prints the version.
pub(super) fn execute(output: &mut Output) -> Result<Exit, Failure> {
    output.text(concat!("hive ", env!("CARGO_PKG_VERSION"), "\n")).map_err(Failure::Output)?;
    Ok(Exit::Success)
}
