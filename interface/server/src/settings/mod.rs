//! Settings: the defaults of `.env.example`, then the `.env` file, then the environment; checked before anything starts.
//!
//! | file | owns |
//! | --- | --- |
//! | `names` | which names exist, and which one was probably meant |
//! | `sources`, `env_file` | reading `NAME=value` from the environment and from a file |
//! | `fields` | reading one value |
//! | `flat` | plain names that several roles read differently |
//! | `database` | where a role keeps its data |
//! | `process` | the settings of the whole process |
//! | `grpc` | the settings of every gRPC server |
//! | `client` | the settings of calls to other processes |
//! | `peers` | where roles served by other processes are |
//! | `orchestration`, `registry`, `tickets` | the settings of a role, and the component configs made from them |
//! | `dump` | printing what is in effect |
//!
//! # To add a setting
//!
//! 1. A line with its default and a comment in `.env.example`, which is embedded here.
//! 2. Its name in `names`, unless it has a prefix; its field in the struct of its role.
//! 3. Where the component's `Config` is made from it. A setting without effect does not exist.

mod client;
mod database;
mod dump;
mod env_file;
mod fields;
mod flat;
mod grpc;
mod names;
mod orchestration;
mod peers;
mod process;
mod registry;
mod sources;
mod tickets;

use std::collections::BTreeMap;
use std::fmt;

use figment::error::Kind;
use figment::value::{Dict, Value};
use figment::{Figment, Profile};
use serde::Deserialize;

pub(crate) use dump::dump;
pub(crate) use flat::FlatNames;
pub(crate) use grpc::GrpcSettings;
pub(crate) use orchestration::OrchestrationSettings;
pub(crate) use peers::PeerSettings;
pub(crate) use process::{Environment, LogFormat, LogLevel};
pub(crate) use registry::RegistrySettings;
pub(crate) use sources::{Origin, Sources};
pub(crate) use tickets::TicketSettings;

use crate::roles::{Role, Roles};
use sources::Given;

/// The commented defaults.
const DEFAULTS: &str = include_str!("../../../../.env.example");

/// Every setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where this runs.
    pub(crate) environment: Environment,
    /// What is logged.
    pub(crate) log_level: LogLevel,
    /// How it is logged; by the environment when none.
    #[serde(deserialize_with = "process::log_format")]
    pub(crate) log_format: Option<LogFormat>,
    /// Where spans are exported to; nowhere when none.
    #[serde(deserialize_with = "process::endpoint")]
    pub(crate) otel_exporter_endpoint: Option<String>,
    /// Whether they are.
    #[serde(deserialize_with = "fields::switch")]
    pub(crate) otel_enabled: bool,
    /// Share of the traces begun here that is exported.
    #[serde(deserialize_with = "fields::number::<_, 0, 1>")]
    pub(crate) otel_sampling_rate: f64,
    /// Port of the REST interfaces.
    #[serde(deserialize_with = "fields::port")]
    pub(crate) http_port: u16,
    /// Port of the metrics alone.
    #[serde(deserialize_with = "fields::port")]
    pub(crate) prometheus_port: u16,
    /// Milliseconds after which a statement on a database is told by a line in the log.
    #[serde(deserialize_with = "fields::whole::<_, _, 1, 60_000>")]
    pub(crate) slow_query_ms: u64,
    /// Of every gRPC server.
    pub(crate) grpc: GrpcSettings,
    /// Of the tickets.
    pub(crate) tickets: TicketSettings,
    /// Of Flow C.
    pub(crate) orchestration: OrchestrationSettings,
    /// Of the registry.
    pub(crate) registry: RegistrySettings,
    /// Of the way to roles served by other processes.
    pub(crate) peers: PeerSettings,
    /// Plain names whose meaning depends on the role.
    #[serde(skip)]
    pub(crate) flat: FlatNames,
}

/// Everything wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsError {
    pub(crate) problems: Vec<Problem>,
}

/// One thing wrong. Values are never told: one of them may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The name as it was written.
    pub(crate) name: String,
    /// Where it was written.
    pub(crate) origin: Origin,
    /// What is wrong.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.origin, self.message)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

/// What is in effect, by path, and where it comes from.
pub(crate) type Effective = BTreeMap<String, Given>;

impl Settings {
    /// Reads and checks all settings; every problem is reported, not only the first.
    pub(crate) fn read(sources: &Sources) -> Result<(Self, Effective), SettingsError> {
        let defaults = Sources::defaults();
        let mut problems = sources.problems.clone();
        let mut effective = defaults.clone();
        for (path, given) in sources.by_strength() {
            if defaults.contains_key(&path) {
                effective.insert(path, given.clone());
            } else {
                problems.push(given.problem(names::unknown(&given.name)));
            }
        }
        // A value that does not fit gives way to its default, so that the next problem shows.
        loop {
            let (path, message) = match extract(&effective) {
                Ok(mut settings) => {
                    settings.flat = sources.flat();
                    problems.extend(settings.cross_check(&effective));
                    let done = if problems.is_empty() { Ok((settings, effective)) } else { Err(problems) };
                    return done.map_err(|problems| SettingsError { problems });
                }
                Err(refused) => refused,
            };
            let replaced =
                defaults.get(&path).and_then(|default| effective.insert(path.clone(), default.clone()));
            match replaced.filter(|given| given.origin != Origin::Default) {
                Some(given) => problems.push(given.problem(message)),
                None => {
                    problems.push(Problem { name: path, origin: Origin::Default, message });
                    return Err(SettingsError { problems });
                }
            }
        }
    }

    /// How log lines look.
    pub(crate) fn log_format(&self) -> LogFormat {
        let usual = match self.environment {
            Environment::Development => LogFormat::Text,
            Environment::Staging | Environment::Production => LogFormat::Json,
        };
        self.log_format.unwrap_or(usual)
    }

    /// The gRPC port of a role among the roles of a process: of a single one GRPC__SERVER__PORT, unless its own is set, or
    /// the plain name it has always had.
    pub(crate) fn grpc_port(
        &self,
        role: Role,
        roles: &Roles,
        effective: &Effective,
    ) -> Result<u16, SettingsError> {
        let is_set = |path: &str| effective.get(path).is_some_and(|given| given.origin != Origin::Default);
        let (own, path) = match role {
            Role::Tickets => (self.tickets.grpc_port, "tickets.grpc_port"),
            Role::Orchestration => (self.orchestration.grpc_port, "orchestration.grpc_port"),
            Role::Registry | Role::Agent => (self.grpc.config().port, "grpc.server.port"),
        };
        if roles.single() != Some(role) || is_set(path) {
            return Ok(own);
        }
        if is_set("grpc.server.port") {
            return Ok(self.grpc.config().port);
        }
        Ok(self.flat.port(roles)?.unwrap_or(own))
    }

    /// What no single value shows.
    fn cross_check(&self, effective: &Effective) -> Vec<Problem> {
        let of_orchestration = self.orchestration.cross_check().into_iter();
        let problems = of_orchestration.map(|(field, message)| (format!("orchestration.{field}"), message));
        let problems = problems.chain(self.grpc.client.cross_check());
        problems.filter_map(|(path, message)| Some(effective.get(&path)?.problem(message))).collect()
    }
}

/// The settings, or the path of a value that does not fit and what is wrong with it.
fn extract(effective: &Effective) -> Result<Settings, (String, String)> {
    let mut root = Dict::new();
    for (path, given) in effective {
        insert(&mut root, path, given.value.clone());
    }
    Figment::from(sources::Texts(root)).select(Profile::Default).extract().map_err(|error| {
        let message = match &error.kind {
            Kind::Message(message) => message.clone(),
            other => other.to_string(),
        };
        (error.path.join("."), message)
    })
}

/// Puts a text at a dotted path.
fn insert(dict: &mut Dict, path: &str, text: String) {
    match path.split_once('.') {
        None => {
            dict.insert(path.to_owned(), Value::from(text));
        }
        Some((head, rest)) => {
            let inner = dict.entry(head.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, members) = inner {
                insert(members, rest, text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
