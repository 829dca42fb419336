//! Finding, making, starting and stopping the server.

use std::env;
use std::fs;
use std::io::{Error, Result};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_ports;

/// How long starting and stopping may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Where Debian puts the programs, one folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Open transactions are undone, everything is written down.
    Fast,
    /// As if the power failed.
    Immediate,
}

/// A server, which may be stopped and started again.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    user: Option<(u32, u32)>,
    port: u16,
    running: Option<Child>,
}

/// The folder of the server's programs, if they are installed.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable();
    let debian = versions.into_iter().rev().map(|(_, folder)| folder);
    let path = env::var_os("PATH").unwrap_or_default();
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl", "createdb"].iter().all(|name| folder.join(name).is_file())
    };
    debian.chain(env::split_paths(&path)).find(has_all)
}

/// The server's user under root: `postgres`. `None` for anybody else, who runs it under their own name.
fn user() -> Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.into_iter().flat_map(|line| line.split(':')).skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some((user, group))),
        _ => Err(Error::other("there is no user postgres to run the server as")),
    }
}

impl Cluster {
    /// Makes a server and starts it.
    pub fn start() -> Result<Self> {
        let programs = programs().ok_or_else(|| Error::other("PostgreSQL is not installed"))?;
        let (folder, user) = (tempfile::tempdir()?, user()?);
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let [port] = free_ports();
        let mut cluster = Cluster { programs, folder, user, port, running: None };
        let mut make = cluster.program("initdb");
        // The order of texts in a language, as many servers have it: where order matters, the schema must say so.
        make.args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ]);
        make.args(["--locale-provider=icu", "--icu-locale=en-US"]);
        let made = make.arg("--pgdata").arg(cluster.data()).output()?;
        if !made.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        cluster.run()?;
        Ok(cluster)
    }

    /// Starts it again, and waits until it takes connections.
    pub fn run(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut server = self.program("postgres");
        server.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        server.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "max_connections=300"]);
        // Room for a log as servers under load are given; what is not written takes none.
        server.args(["-c", "min_wal_size=1GB", "-c", "max_wal_size=4GB"]);
        // Whoever looks at what the server is asked sees all of it.
        server.args(["-c", "track_activity_query_size=65536"]);
        server.stdout(Stdio::null()).stderr(log);
        let mut child = server.spawn()?;
        let begun = Instant::now();
        // The last line of this file is the state of the server; no connection has to be made to know.
        let state = self.data().join("postmaster.pid");
        while !fs::read_to_string(&state).is_ok_and(|text| text.trim_end().ends_with("ready")) {
            if begun.elapsed() > LIMIT || child.try_wait()?.is_some() {
                let told = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(Error::other(format!("PostgreSQL does not start: {told}")));
            }
            park_timeout(Duration::from_millis(10));
        }
        self.running = Some(child);
        Ok(())
    }

    /// Stops it, keeping its data.
    pub fn stop(&mut self, how: Stop) -> Result<()> {
        let Some(mut child) = self.running.take() else { return Ok(()) };
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--wait", "--silent", "--mode", mode, "--timeout", "60", "--pgdata"]);
        let stopped = stop.arg(self.data()).status()?;
        if !stopped.success() {
            child.kill()?;
        }
        child.wait().map(drop)
    }

    /// Makes a database.
    pub fn create(&self, database: &str) -> Result<()> {
        let mut create = self.program("createdb");
        create.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", database]);
        let created = create.output()?;
        if created.status.success() {
            return Ok(());
        }
        Err(Error::other(String::from_utf8_lossy(&created.stderr).into_owned()))
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(Path::new("/")).stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The folder goes with it, so nothing is left that a failure here could spoil.
        let _ = self.stop(Stop::Immediate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_starts_stops_and_leaves_nothing() -> Result<()> {
        if programs().is_none() {
            return Ok(());
        }
        let mut cluster = Cluster::start()?;
        assert!(cluster.url("x").starts_with("postgres://postgres@127.0.0.1:"));
        let folder = cluster.folder.path().to_owned();
        cluster.stop(Stop::Immediate)?;
        cluster.run()?;
        cluster.stop(Stop::Fast)?;
        cluster.run()?;
        let port = cluster.port;
        drop(cluster);
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        Ok(())
    }
}
