//! Logs: lines on stderr, ours from the level set, those of libraries from warnings on. Nobody reading them holds nothing
//! up: lines wait in a bounded buffer, and those that do not fit are counted and dropped.

mod json;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use hive_grpc_kit::access_log::AccessLog;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::console::Screen;
use crate::settings::{LogFormat, LogLevel, Settings};

use self::json::JsonLines;

/// How long the end of the process waits for lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The logs of the process. Dropping it writes what waits, as far as somebody reads.
#[derive(Debug)]
pub(crate) struct Logs {
    sink: Option<AccessLog>,
}

impl Logs {
    /// Where the lines go that calls leave: to the others, if there is anything but progress to show.
    pub(crate) fn calls(&self) -> Option<AccessLog> {
        self.sink.clone()
    }
}

/// Where the lines of the process go, for the one that is told when all else is over.
static LAST: OnceLock<AccessLog> = OnceLock::new();

/// Writes what waits, as far as somebody reads: lines that came after [`Logs`] was dropped.
pub(crate) fn flush() {
    if let Some(sink) = LAST.get() {
        sink.flush_within(LAST_LINES);
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let Some(sink) = &self.sink else { return };
        let dropped = sink.dropped();
        if dropped > 0 {
            sink.append(
                format!("hive: {dropped} log lines were dropped, since nobody read them in time\n")
                    .as_bytes(),
            );
        }
        sink.flush_within(LAST_LINES);
    }
}

/// Takes part in what is told by the process.
pub(crate) type Teller = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, `more` beside it. A second call changes nothing.
pub(crate) fn init(settings: &Settings, screen: &Screen, more: Option<Teller>) -> io::Result<Logs> {
    let sink = if screen.is_live() { None } else { Some(AccessLog::to(io::stderr())?) };
    if let Some(sink) = &sink {
        let _ = LAST.set(sink.clone());
    }
    let lines = lines(settings, Lines { screen: screen.clone(), sink: sink.clone() });
    let tellers: Vec<Teller> = more.into_iter().chain([lines]).collect();
    let _ = tracing_subscriber::registry().with(tellers).try_init();
    Ok(Logs { sink })
}

/// Writes events to `writer`, as the settings want it.
fn lines(settings: &Settings, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> Teller {
    let level = match settings.log_level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("hive", level);
    // Spans are for the exporter: a formatter would pay for each of them, and again for every line inside.
    let ours = move |of: &Metadata<'_>| of.is_event() && targets.would_enable(of.target(), of.level());
    let filter = filter_fn(ours).with_max_level_hint(level);
    // Failing to log must not end anything; the default would print, and panic where that fails too.
    let lines = fmt::layer().with_writer(writer).log_internal_errors(false);
    match settings.log_format() {
        LogFormat::Json => {
            lines.event_format(JsonLines::new(settings.environment)).with_filter(filter).boxed()
        }
        LogFormat::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colours).with_filter(filter).boxed()
        }
    }
}

/// Writes each record above the progress that is shown, or into the buffer.
struct Lines {
    screen: Screen,
    sink: Option<AccessLog>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

struct Line<'a>(&'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match &self.0.sink {
            Some(sink) => sink.append(record),
            None => self.0.screen.write(record),
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    #[test]
    fn without_an_exporter_no_span_is_made_at_any_level() {
        let (mut settings, _) = Settings::read(&Sources::default()).unwrap();
        settings.log_level = LogLevel::Trace;
        for format in [LogFormat::Text, LogFormat::Json] {
            settings.log_format = Some(format);
            let subscriber = tracing_subscriber::registry().with(vec![lines(&settings, io::sink)]);
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::info_span!(target: "hive.span.tickets", "postgres");
                assert!(span.is_disabled());
                assert!(tracing::event_enabled!(target: "hive_application", tracing::Level::TRACE));
                assert!(!tracing::event_enabled!(target: "h2", tracing::Level::INFO));
            });
        }
    }
}
