//! The settings of a process that serves or calls: environment variables over a TOML file over the commented defaults
//! in [`DEFAULTS`].
//!
//! ```
//! use hive_grpc_kit::settings::{self, Settings};
//!
//! fn run() -> Result<(), Box<dyn std::error::Error>> {
//!     let settings = Settings::load()?;
//!     assert_eq!(settings.server.port, 50051);
//!     Ok(())
//! }
//!
//! // In main: what is wrong is told on standard error, and wrong settings exit with 64.
//! let code: std::process::ExitCode = settings::exit_code(run());
//! ```
//!
//! A variable is called as its path in the file, in capitals and with `__` for every dot: `GRPC__SERVER__PORT` is `port`
//! under `[grpc.server]`. The variable `GRPC__CONFIG_FILE` names the file; without it there is none. Names may be in any
//! case, an empty variable counts as not set, and a key that does not exist is an error, in the file as among the
//! variables that begin with `GRPC__`.

mod file;
mod layers;
mod problem;
mod secret;
pub mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Deserializer};

pub use layers::{Effective, Given, Layers, Refusal};
pub use problem::{Origin, Problem, SettingsError, exit_code, nearest};
pub use secret::Secret;

use crate::client::ClientConfig;
use crate::server::config::{Config, ConfigError};

/// Every key with its default and what it is for, as a TOML file to copy from.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// The variable that names the file.
const FILE: &str = "GRPC__CONFIG_FILE";
/// What begins a variable that is ours.
const PREFIX: &str = "GRPC__";
/// Other names of settings, and their paths.
const OTHER_NAMES: [(&str, &str); 2] =
    [("ENVIRONMENT", "environment"), ("JWT_SECRET_KEY", "grpc.server.auth.jwt_secret")];
/// Where settings of single targets are.
const TARGETS: &str = "grpc.client.targets.";
const CLIENT: &str = "grpc.client.";

/// How a process is run; decides the defaults that differ between a desk and the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// Bound to this machine, no authentication unless configured.
    #[default]
    Development,
    /// As production.
    Staging,
    /// Bound to all addresses, authentication required unless configured, weak secrets refused.
    Production,
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use Environment::{Development, Production, Staging};
        let words = [("development", Development), ("staging", Staging), ("production", Production)];
        value::word(deserializer, &words)
    }
}

/// Everything that is set for the kit.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// How the process is run.
    pub environment: Environment,
    /// Of its server: `GRPC__SERVER__*`.
    pub server: Config,
    /// Of its calls to others: `GRPC__CLIENT__*`.
    pub client: ClientConfig,
}

/// Where the settings are in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    environment: Environment,
    grpc: Grpc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grpc {
    server: Config,
    client: ClientConfig,
}

impl Settings {
    /// Reads the settings of this process and checks them. Opens no socket. What is needed only to serve, keys to verify
    /// tokens with and certificates, is looked for by [`ServerBuilder::build`](crate::server::builder::ServerBuilder::build),
    /// before any socket too.
    ///
    /// # Errors
    /// Everything that is wrong: keys that do not exist, values that do not fit, a secret that can be guessed in
    /// production.
    pub fn load() -> Result<Self, SettingsError> {
        Self::from_variables(std::env::vars_os())
    }

    /// Reads the settings from these environment variables, and the file that one of them may name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut layers = Layers::over(defaults());
        let (file, variables) = sorted(variables, &mut layers);
        if let Some(file) = file {
            add_file(&mut layers, Path::new(&file));
        }
        for (path, given) in variables {
            add(&mut layers, path, given);
        }
        let (root, _) = layers.read(check)?;
        let Root { environment, grpc: Grpc { server, client } } = root;
        Ok(Self { environment, server, client })
    }
}

/// Every key with a default, as the variable that sets it.
pub fn keys() -> Vec<String> {
    defaults().into_values().map(|given| given.name).collect()
}

/// The defaults by path.
fn defaults() -> Effective {
    let entries = file::parse(DEFAULTS).unwrap_or_default();
    let given = |(path, _, value): (String, usize, Option<String>)| {
        let given = Given { name: name(&path), value: value.unwrap_or_default(), origin: Origin::Default };
        (path, given)
    };
    entries.into_iter().map(given).collect()
}

/// The file that variables name, and those of them that are settings, the strongest last: the names with a prefix.
fn sorted(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    layers: &mut Layers,
) -> (Option<OsString>, Vec<(String, Given)>) {
    // Sorted: names that differ in case only must not depend on the order of the environment.
    let named = variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let named: BTreeMap<String, OsString> = named.collect();
    let (mut file, mut others, mut ours) = (None, Vec::new(), Vec::new());
    for (name, value) in named {
        let upper = name.to_ascii_uppercase();
        let other = OTHER_NAMES.iter().find(|(other, _)| *other == upper);
        if upper == FILE {
            file = Some(value).filter(|value| !value.is_empty());
        } else if other.is_some() || upper.starts_with(PREFIX) {
            let Ok(value) = value.into_string() else {
                layers.refuse(Problem::new(name, Origin::Environment, "is not UTF-8 text"));
                continue;
            };
            let value = value.trim().to_owned();
            if value.is_empty() {
                continue;
            }
            let given = Given { name, value, origin: Origin::Environment };
            match other {
                Some((_, path)) => others.push(((*path).to_owned(), given)),
                None => ours.push((path(&upper), given)),
            }
        }
    }
    others.append(&mut ours);
    (file, others)
}

fn add_file(layers: &mut Layers, path: &Path) {
    let text = match file::read(path) {
        Ok(text) => text,
        Err(message) => return layers.refuse(Problem::new(FILE, Origin::Environment, message)),
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let at = |line: usize| Origin::File(format!("{file}, line {line}"));
    match file::parse(&text) {
        Ok(mut entries) => {
            // Of keys that differ in case only, the later one wins, as elsewhere.
            entries.sort_by_key(|(_, line, _)| *line);
            for (path, line, value) in entries {
                match value {
                    Some(value) => add(layers, path.clone(), Given { name: path, value, origin: at(line) }),
                    None => layers.refuse(Problem::new(path, at(line), "must be a single value")),
                }
            }
        }
        Err(line) => layers.refuse(Problem::new(FILE, at(line), "is no TOML")),
    }
}

/// Sets a value, or refuses it when there is no such setting.
fn add(layers: &mut Layers, path: String, given: Given) {
    let of_target =
        target(&path).is_some_and(|(_, key)| key == "url" || layers.has(&format!("{CLIENT}{key}")));
    if of_target || layers.has(&path) {
        return layers.set(path, given);
    }
    let mut problem = given.problem("no such setting");
    let keys = defaults();
    let of_client = keys.keys().filter_map(|key| key.strip_prefix(CLIENT)).chain(["url"]);
    let valid: Vec<String> = match target(&path) {
        Some((target, _)) => of_client.map(|key| format!("{TARGETS}{target}.{key}")).collect(),
        None => keys.keys().cloned().chain([FILE.to_ascii_lowercase().replace("__", ".")]).collect(),
    };
    let near = nearest(&path, valid.iter().map(String::as_str)).map(str::to_owned);
    // As it was written: as a variable or as a path.
    let of_variable = given.origin == Origin::Environment;
    problem.nearest = near.map(|near| if of_variable { name(&near) } else { near });
    layers.refuse(problem);
}

/// The name of a target and the key in it, of a path that is of a target.
fn target(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(TARGETS)?.split_once('.').filter(|(name, _)| !name.is_empty())
}

/// The path of a variable's name.
fn path(name: &str) -> String {
    name.to_ascii_lowercase().replace("__", ".")
}

/// The name of the variable for a path.
fn name(path: &str) -> String {
    path.to_ascii_uppercase().replace('.', "__")
}

/// What no single value shows.
fn check(root: &Root) -> Vec<Refusal> {
    let Grpc { server, client } = &root.grpc;
    let server = match server.check(root.environment) {
        // A process that only calls has none, and a server is not built without.
        Ok(()) | Err(ConfigError::NoKeyMaterial { .. }) => None,
        Err(error) => Some(error.refusal()),
    };
    let client = client.check().err().map(|error| error.refusal());
    server.into_iter().chain(client).collect()
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
