//! The built binary as a process: started, read line by line, waited for, killed.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::document;
use crate::folder::temporary;

/// The longest that any process of these tests may take: many times what a busy machine needs.
pub const LIMIT: Duration = Duration::from_secs(180);

/// The path of `hive`, built with the profile of these tests. Built once a test run.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let here = std::env::current_exe().expect("the path of the running test");
    let folder = here.ancestors().nth(2).expect("tests lie in <target>/<profile>/deps");
    let target = folder.parent().expect("a profile's folder lies in the target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()).expect("a profile's folder is text")
    {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hive-server", "--bin", "hive", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(crate::root())
        .status()
        .expect("cargo starts");
    assert!(built.success(), "hive does not build");
    folder.join("hive")
}

/// A command line of `hive`, in an empty working folder and without any setting of its surroundings.
#[derive(Debug)]
pub struct Hive {
    command: Command,
    surroundings: tempfile::TempDir,
    read_to: Option<&'static str>,
}

impl Hive {
    /// `hive` with these arguments.
    pub fn new<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let surroundings = temporary();
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("TMPDIR", surroundings.path())
            .current_dir(surroundings.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        Hive { command, surroundings, read_to: None }
    }

    /// `hive run PLAN`.
    pub fn run(plan: &Path) -> Self {
        Hive::new(["run".as_ref(), plan.as_os_str()])
    }

    /// `--data FOLDER`.
    #[must_use]
    pub fn data(self, folder: &Path) -> Self {
        self.arg("--data").arg(folder)
    }

    /// `--output json`.
    #[must_use]
    pub fn json(self) -> Self {
        self.arg("--output").arg("json")
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// A setting.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// This file on its stdin.
    #[must_use]
    pub fn stdin(mut self, path: &Path) -> Self {
        self.command.stdin(std::fs::File::open(path).expect("a file that can be read"));
        self
    }

    /// Its stderr is read up to a line that contains this, and then left alone.
    #[must_use]
    pub fn read_only_to(mut self, text: &'static str) -> Self {
        self.read_to = Some(text);
        self
    }

    /// The folder it works in.
    pub fn working_folder(&self) -> &Path {
        self.surroundings.path()
    }

    /// Starts the process.
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().expect("hive starts");
        let (sender, lines) = channel();
        read(child.stdout.take(), Stream::Out, sender.clone(), None);
        read(child.stderr.take(), Stream::Err, sender, self.read_to);
        Running { child, lines, out: String::new(), err: String::new(), surroundings: self.surroundings }
    }

    /// Starts the process with nobody to read its stdout.
    pub fn start_without_reader(mut self) -> Running {
        let mut child = self.command.spawn().expect("hive starts");
        drop(child.stdout.take());
        let (sender, lines) = channel();
        read(child.stderr.take(), Stream::Err, sender, None);
        Running { child, lines, out: String::new(), err: String::new(), surroundings: self.surroundings }
    }

    /// Starts the process and waits for its end.
    pub fn finish(self) -> Finished {
        self.start().finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

fn read(
    pipe: Option<impl Read + Send + 'static>,
    stream: Stream,
    lines: Sender<(Stream, String)>,
    read_to: Option<&'static str>,
) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            let is_last = read_to.is_some_and(|last| text.contains(last));
            if lines.send((stream, text)).is_err() {
                return;
            }
            if is_last {
                // Open, and never read again.
                std::mem::forget(pipe);
                return;
            }
            line.clear();
        }
    });
}

/// A process on its way. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<(Stream, String)>,
    out: String,
    err: String,
    surroundings: tempfile::TempDir,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stderr or stdout that contains `text`; panics when the process ends without one.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let line = self.find_line(text);
        line.unwrap_or_else(|| panic!("no line with `{text}`; it said:\n{}{}", self.out, self.err))
    }

    /// Waits for a line on stderr or stdout that contains `text`. None when the process ends without one.
    pub fn find_line(&mut self, text: &str) -> Option<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.next_line(deadline) {
                Ok(line) if line.contains(text) => return Some(line),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Reads so many lines, or until the process ends.
    pub fn read_lines(&mut self, count: usize) {
        let deadline = Instant::now() + LIMIT;
        let _ = (0..count).try_for_each(|_| self.next_line(deadline).map(drop));
    }

    /// Reads on for `time`, or until the process ends. True when it still runs.
    pub fn read_for(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.next_line(deadline) {
                Ok(_) => {}
                Err(why) => return why == RecvTimeoutError::Timeout,
            }
        }
    }

    /// Waits for the end of the process; panics when it does not come.
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.next_line(deadline) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.ended(),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no end after {LIMIT:?}; it said:\n{}{}", self.out, self.err)
                }
            }
        }
    }

    /// Ends the process with SIGKILL. [`Finished::was_killed`] is false when it was faster.
    pub fn kill(mut self) -> Finished {
        // Fails only for a process that has ended.
        let _ = self.child.kill();
        self.finish()
    }

    /// Asks the process to end: SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.pid())).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM was not sent");
    }

    fn next_line(&mut self, deadline: Instant) -> Result<String, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, line) = self.lines.recv_timeout(left)?;
        match stream {
            Stream::Out => self.out.push_str(&line),
            Stream::Err => self.err.push_str(&line),
        }
        Ok(line)
    }

    fn ended(mut self) -> Finished {
        let status = self.child.wait().expect("the process can be waited for");
        let left_behind = std::fs::read_dir(self.surroundings.path()).expect("the working folder is there");
        Finished {
            status,
            out: std::mem::take(&mut self.out),
            err: std::mem::take(&mut self.err),
            left_behind: left_behind.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    /// All of its stdout.
    pub out: String,
    /// All of its stderr.
    pub err: String,
    /// What it left in its working folder, which is its folder for temporary files too.
    pub left_behind: Vec<PathBuf>,
}

impl Finished {
    /// Whether SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// Asserts the exit code, and that nothing panicked.
    #[must_use]
    pub fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    /// Its stdout as one JSON value.
    pub fn json(&self) -> Value {
        document::json(&self.out)
    }
}
