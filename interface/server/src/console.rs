//! What the user sees: results on stdout, progress and logs on stderr.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Standard output. A reader that went away is no failure: it has read enough.
pub(crate) struct Output<W: Write = io::BufWriter<io::Stdout>> {
    to: W,
    closed: bool,
}

impl Output {
    /// The standard output of the process.
    pub(crate) fn stdout() -> Self {
        Output { to: io::BufWriter::new(io::stdout()), closed: false }
    }
}

impl<W: Write> Output<W> {
    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.attempt(|to| to.write_all(text.as_bytes()))
    }

    /// Writes one JSON value and a line break.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.attempt(|to| {
            serde_json::to_writer(&mut *to, value)?;
            to.write_all(b"\n")
        })
    }

    fn attempt(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        match write(&mut self.to).and_then(|()| self.to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written,
        }
    }
}

/// Standard error, shared by progress and logs. Nobody listening is no failure.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// The live area at the bottom of a terminal.
    live: Option<ProgressBar>,
}

impl Screen {
    /// For commands that show no progress.
    pub(crate) fn plain() -> Self {
        Screen { live: None }
    }

    /// With a live area when somebody watches.
    pub(crate) fn for_progress() -> Self {
        let style = || ProgressStyle::with_template("{msg}").ok();
        let live = io::stderr().is_terminal().then(style).flatten();
        Screen { live: live.map(|style| ProgressBar::new_spinner().with_style(style)) }
    }

    /// Whether there is a live area.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Writes lines, above the live area.
    pub(crate) fn write(&self, text: &[u8]) {
        let write = || {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text).and_then(|()| stderr.flush());
        };
        match &self.live {
            Some(live) if !live.is_finished() => live.suspend(write),
            _ => write(),
        }
    }

    /// Writes one line.
    pub(crate) fn line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Replaces what the live area shows.
    pub(crate) fn show(&self, frame: String) {
        if let Some(live) = &self.live {
            live.set_message(frame);
            live.tick();
        }
    }

    /// Leaves what the live area shows and ends it.
    pub(crate) fn end(&self) {
        if let Some(live) = &self.live {
            live.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let mut output = Output { to: Refusing(io::ErrorKind::BrokenPipe), closed: false };
        assert!(output.text("x").is_ok());
        assert!(output.json(&1).is_ok());
        let mut full = Output { to: Refusing(io::ErrorKind::StorageFull), closed: false };
        assert!(full.text("x").is_err());
    }

    #[test]
    fn json_is_one_line() {
        let mut output = Output { to: Vec::new(), closed: false };
        output.json(&serde_json::json!({"a": [1, null]})).unwrap();
        output.text("end").unwrap();
        assert_eq!(output.to, b"{\"a\":[1,null]}\nend");
    }
}
