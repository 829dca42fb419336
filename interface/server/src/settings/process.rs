//! Settings of the whole process.

use serde::{Deserialize, Deserializer};

use super::fields::word;

/// Where this runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Environment {
    Development,
    Staging,
    Production,
}

/// The least important thing that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Environment> for hive_grpc_kit::server::config::Environment {
    fn from(environment: Environment) -> Self {
        match environment {
            Environment::Development => Self::Development,
            Environment::Staging => Self::Staging,
            Environment::Production => Self::Production,
        }
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use Environment::{Development, Production, Staging};
        word(deserializer, &[("development", Development), ("staging", Staging), ("production", Production)])
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        let words = [
            ("trace", Trace),
            ("debug", Debug),
            ("info", Info),
            ("warn", Warn),
            ("warning", Warn),
            ("error", Error),
            ("critical", Error),
        ];
        word(deserializer, &words)
    }
}
