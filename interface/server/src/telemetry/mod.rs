//! What is measured and told of a running system.
//!
//! | file | owns |
//! | --- | --- |
//! | `families` | every metric family, in tables |
//! | `series` | handles to record with |
//! | `flows` | measures flows as they go |
//! | `orchestration`, `tickets`, `registry` | measure what a context asks of its ports, by standing before them |
//! | `traces` | spans and their export |
//! | `http`, `agents` | spans of HTTP requests, and of the work of agents |

pub(crate) mod agents;
pub(crate) mod families;
pub(crate) mod flows;
mod http;
pub(crate) mod orchestration;
pub(crate) mod registry;
pub(crate) mod series;
pub(crate) mod tickets;
pub(crate) mod traces;

use axum::Router;
use hive_application::error::Error;
use hive_grpc_kit::access_log::AccessLog;
use hive_grpc_kit::server::builder::ServerBuilder;

use self::traces::Traces;
use crate::console::Screen;
use crate::exit::Failure;
use crate::logging::{self, Logs};
use crate::roles::Roles;
use crate::settings::{LogFormat, Settings};

/// The logs and the traces of a process. Dropping it tells the rest; do so last.
pub(crate) struct Telemetry {
    // The order counts: the export may have something to log at its end.
    traces: Option<Traces>,
    logs: Logs,
    calls_are_logged: bool,
}

impl Telemetry {
    /// Starts what the settings ask for. Once a process.
    pub(crate) fn start(settings: &Settings, roles: &Roles, screen: &Screen) -> Result<Self, Failure> {
        let traces = Traces::start(settings, roles);
        let traces = traces.map_err(|error| Failure::Defect(Error::internal(error)))?;
        Self::with(traces, settings, screen)
    }

    /// Starts logging alone, for commands that do their work elsewhere.
    pub(crate) fn logs(settings: &Settings, screen: &Screen) -> Result<Self, Failure> {
        Self::with(None, settings, screen)
    }

    fn with(traces: Option<Traces>, settings: &Settings, screen: &Screen) -> Result<Self, Failure> {
        let logs = logging::init(settings, screen, traces.as_ref().map(Traces::layer));
        let logs = logs.map_err(|error| Failure::Usage(format!("threads cannot be started: {error}")))?;
        // Among lines for people a line for every call would be noise.
        Ok(Telemetry { traces, logs, calls_are_logged: settings.log_format() == LogFormat::Json })
    }

    /// What servers are to tell.
    pub(crate) fn of_servers(&self) -> Told {
        Told { calls: self.logs.calls().filter(|_| self.calls_are_logged), traced: self.traces.is_some() }
    }
}

/// What servers tell: a line for each call, a span for each call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    calls: Option<AccessLog>,
    traced: bool,
}

impl Told {
    /// Has a gRPC server tell it.
    pub(crate) fn by_grpc(&self, mut server: ServerBuilder) -> ServerBuilder {
        if let Some(calls) = &self.calls {
            server = server.access_log(calls.clone());
        }
        if self.traced { server.span_link(traces::link()) } else { server }
    }

    /// Has the routes of REST tell it.
    pub(crate) fn by_http(&self, routes: Router) -> Router {
        if self.traced { http::traced(routes) } else { routes }
    }
}
