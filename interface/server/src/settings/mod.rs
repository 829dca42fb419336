//! Settings: the defaults of `.env.example`, then the `.env` file, then the environment; checked before anything starts.
//!
//! | file | owns |
//! | --- | --- |
//! | `names` | which names exist, and which one was probably meant |
//! | `sources`, `env_file` | reading `NAME=value` from the environment and from a file |
//! | `flat` | plain names that several roles read differently |
//! | `database` | where a role keeps its data |
//! | `process` | the settings of the whole process |
//! | `grpc` | the settings of the kit: of every gRPC server, and of calls to other processes |
//! | `peers` | where roles served by other processes are |
//! | `orchestration`, `registry`, `tickets` | the settings of a role, and the component configs made from them |
//! | `dump` | printing what is in effect |
//!
//! # To add a setting
//!
//! 1. A line with its default and a comment in `.env.example`, which is embedded here.
//! 2. Its name in `names`, unless it has a prefix; its field in the struct of its role.
//! 3. Where the component's `Config` is made from it. A setting without effect does not exist.

mod database;
mod dump;
mod env_file;
mod flat;
mod grpc;
mod names;
mod orchestration;
mod peers;
mod process;
mod registry;
mod sources;
mod tickets;

use hive_grpc_kit::settings::value::{number, port, switch, whole};
use hive_grpc_kit::settings::{Layers, Refusal};
use serde::Deserialize;

pub(crate) use dump::dump;
pub(crate) use flat::FlatNames;
pub(crate) use grpc::GrpcSettings;
pub(crate) use hive_grpc_kit::settings::{Effective, Environment, Origin, SettingsError};
pub(crate) use orchestration::OrchestrationSettings;
pub(crate) use peers::PeerSettings;
pub(crate) use process::{LogFormat, LogLevel};
pub(crate) use registry::RegistrySettings;
pub(crate) use sources::Sources;
pub(crate) use tickets::TicketSettings;

use crate::roles::{Role, Roles};

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
    #[serde(deserialize_with = "switch")]
    pub(crate) otel_enabled: bool,
    /// Share of the traces begun here that is exported.
    #[serde(deserialize_with = "number::<_, 0, 1>")]
    pub(crate) otel_sampling_rate: f64,
    /// Port of the REST interfaces.
    #[serde(deserialize_with = "port")]
    pub(crate) http_port: u16,
    /// Port of the metrics alone.
    #[serde(deserialize_with = "port")]
    pub(crate) prometheus_port: u16,
    /// Milliseconds after which a statement on a database is told by a line in the log.
    #[serde(deserialize_with = "whole::<_, _, 1, 60_000>")]
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

impl Settings {
    /// Reads and checks all settings; every problem is reported, not only the first.
    pub(crate) fn read(sources: &Sources) -> Result<(Self, Effective), SettingsError> {
        let mut layers = Layers::over(Sources::defaults());
        for problem in &sources.problems {
            layers.refuse(problem.clone());
        }
        for (path, given) in sources.by_strength() {
            if layers.has(&path) {
                layers.set(path, given.clone());
            } else {
                layers.refuse(names::unknown(given));
            }
        }
        let (settings, effective) = layers.read(Self::cross_check)?;
        Ok((Settings { flat: sources.flat(), ..settings }, effective))
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
            Role::Registry | Role::Agent => (self.grpc.server.port, "grpc.server.port"),
        };
        if roles.single() != Some(role) || is_set(path) {
            return Ok(own);
        }
        if is_set("grpc.server.port") {
            return Ok(self.grpc.server.port);
        }
        Ok(self.flat.port(roles)?.unwrap_or(own))
    }

    /// What no single value shows.
    fn cross_check(&self) -> Vec<Refusal> {
        let of_orchestration = self.orchestration.cross_check().into_iter();
        let of_orchestration =
            of_orchestration.map(|(field, message)| (format!("orchestration.{field}"), message));
        of_orchestration.chain(self.grpc.cross_check()).collect()
    }
}

#[cfg(test)]
mod tests;
