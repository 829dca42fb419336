//! Logs: text lines on stderr, ours from the level set, those of libraries from warnings on.

use std::io::{self, IsTerminal, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::console::Screen;
use crate::settings::LogLevel;

/// Starts logging. A second call changes nothing.
pub(crate) fn init(level: LogLevel, screen: Screen) {
    let level = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("hive", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(Lines(screen))
        // Failing to log must not end anything; the default would print, and panic where that fails too.
        .log_internal_errors(false);
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

/// Writes each record above the progress that is shown.
struct Lines(Screen);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a Screen);

impl Write for Line<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.write(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
