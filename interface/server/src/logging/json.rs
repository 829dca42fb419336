//! A log line as one JSON object, with the names that the platform's log readers know: `timestamp`, `level`, `event`,
//! `logger`, then what the line says, then `trace_id` and `span_id` where the work belongs to an exported trace.

use std::fmt;

use hive_application::clock::Clock as _;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::SystemClock;
use crate::settings::Environment;

/// Parts of field names whose values are never logged, whoever logs them.
const SECRET: [&str; 6] = ["token", "secret", "password", "authorization", "api_key", "credential"];

/// Formats events.
#[derive(Debug)]
pub(super) struct JsonLines {
    environment: &'static str,
}

impl JsonLines {
    pub(super) fn new(environment: Environment) -> Self {
        let environment = match environment {
            Environment::Development => "development",
            Environment::Staging => "staging",
            Environment::Production => "production",
        };
        JsonLines { environment }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = self.line(event);
        writeln!(writer, "{}", Value::Object(line))
    }
}

impl JsonLines {
    fn line(&self, event: &Event<'_>) -> Map<String, Value> {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), SystemClock.now().to_string().into());
        line.insert("level".to_owned(), level(*metadata.level()).into());
        line.insert("event".to_owned(), Value::Null);
        line.insert("logger".to_owned(), metadata.target().into());
        line.insert("environment".to_owned(), self.environment.into());
        event.record(&mut Fields(&mut line));
        let context = opentelemetry::Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            line.insert("trace_id".to_owned(), span.trace_id().to_string().into());
            line.insert("span_id".to_owned(), span.span_id().to_string().into());
        }
        line
    }
}

/// In the words of the access log.
fn level(level: Level) -> &'static str {
    match level {
        Level::TRACE | Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

/// Takes in the fields of an event; the message is the event.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let lower = name.to_ascii_lowercase();
        let value = if SECRET.iter().any(|part| lower.contains(part)) { "not shown".into() } else { value };
        self.0.insert(if name == "message" { "event".to_owned() } else { name.to_owned() }, value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_and_tells_no_secret() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(JsonLines::new(Environment::Production))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(ticket.id = %"tk\n1", tries = 2, ratio = 0.5, jwt_token = "eyJ.secret", "ticket {} fails", "a\"b");
            tracing::debug!("second");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!((&line["level"], &line["event"]), (&"warning".into(), &"ticket a\"b fails".into()));
        assert_eq!(
            (&line["ticket.id"], &line["tries"], &line["ratio"]),
            (&"tk\n1".into(), &2.into(), &0.5.into())
        );
        assert_eq!((&line["environment"], &line["jwt_token"]), (&"production".into(), &"not shown".into()));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line.get("trace_id").is_none());
        assert!(line["logger"].as_str().unwrap().ends_with("json::tests"));
    }
}
