//! `hive config check` and `hive config dump`. Settings that are wrong never get here.

use crate::cli::ConfigCommand;
use crate::console::Output;
use crate::exit::{Exit, Failure};
use crate::output::words::count;
use crate::settings::{Effective, Origin, Settings, dump};

/// Tells about the settings.
pub(super) fn execute(
    command: ConfigCommand,
    (_, effective): (Settings, Effective),
    output: &mut Output,
) -> Result<Exit, Failure> {
    let text = match command {
        ConfigCommand::Check => {
            let set = effective.values().filter(|given| given.origin != Origin::Default).count();
            format!("the settings are valid: {}, {set} of them set\n", count(effective.len(), "setting"))
        }
        ConfigCommand::Dump => dump(&effective),
    };
    output.text(&text).map_err(Failure::Output)?;
    Ok(Exit::Success)
}
