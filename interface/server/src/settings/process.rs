//! Settings of the whole process.

use hive_grpc_kit::settings::value::{optional, optional_word, word};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The least important thing that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A format of log lines, or none when it is empty.
pub(super) fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LogFormat>, D::Error> {
    optional_word(deserializer, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

/// An address that traces are exported to, or none when it is empty.
pub(super) fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let fits = |text: &String| {
        let uri = text.parse::<http::Uri>().ok();
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
    };
    match optional(deserializer)? {
        Some(text) if !fits(&text) => {
            Err(D::Error::custom("must be an address like http://otel-collector:4317"))
        }
        given => Ok(given),
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
