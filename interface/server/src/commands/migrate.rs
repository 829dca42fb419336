//! `hive migrate`.

use super::storage::Storage;
use crate::cli::MigrateArgs;
use crate::console::{Output, Screen};
use crate::exit::{Exit, Failure};
use crate::lock::DataFolder;
use crate::roles::Roles;
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::wire::stores::Stores;

/// Brings the databases of a data folder up to date.
pub(super) fn execute(args: &MigrateArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let _telemetry = Telemetry::logs(settings, &Screen::plain())?;
    let folder = DataFolder::take(&args.data).map_err(|error| Failure::Usage(error.to_string()))?;
    super::runtime()?.block_on(async {
        let storage = Storage { folder: &folder, roles: &Roles::all(), settings };
        storage.open().await?.close().await;
        Ok::<_, Failure>(())
    })?;
    let files = Stores::places(settings).join(", ");
    let text = format!("data folder {}: {files} are up to date\n", folder.display());
    output.text(&text).map_err(Failure::Output)?;
    Ok(Exit::Success)
}
