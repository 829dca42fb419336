//! The two servers, each a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::load::Caller;
use crate::run::binary;

/// A server that answers `neural_hive.execution.TicketService`.
pub(crate) struct Server {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// The whole platform, without agents.
    pub(crate) fn hive(database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command.args(["up", "--agents", "0", "--data"]).arg(folder.path());
        for port in [
            "GRPC__SERVER__PORT",
            "TICKETS__GRPC_PORT",
            "ORCHESTRATION__GRPC_PORT",
            "HTTP_PORT",
            "PROMETHEUS_PORT",
        ] {
            command.env(port, "0");
        }
        if let Some(url) = database {
            command.env("TICKETS__DATABASE_URL", url);
        }
        Server::start(command, folder)
    }

    /// The least that answers: this program again.
    pub(crate) fn reference(database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(super::reference::COMMAND);
        match database {
            Some(url) => command.arg(format!("{url}_reference")),
            None => command.arg(folder.path().join("tickets.db")),
        };
        Server::start(command, folder)
    }

    fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains("tickets serves"))
            .and_then(|line| line.trim().rsplit(' ').next().map(str::to_owned))
            .expect("it serves tickets");
        // Read on, so that a full pipe never holds it up.
        std::thread::spawn(move || lines.for_each(drop));
        Server { process, address, _folder: folder }
    }

    /// Where it serves tickets.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A caller with `stock` tickets to ask for.
    pub(crate) async fn caller(&self, stock: usize) -> Caller {
        Caller::connect(&self.address, stock).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A measurement that ended has nothing to lose.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
