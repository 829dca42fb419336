//! The platform as four processes on one data folder: `hive serve` for each role.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use hive_postgres::free_ports;

use crate::process::{Finished, Hive, LIMIT, Running};

/// A role of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The tickets.
    Tickets,
    /// The registry.
    Registry,
    /// Plans and flows.
    Orchestration,
    /// The agents.
    Agent,
}

/// Every role, each after those it asks.
pub const ROLES: [Role; 4] = [Role::Tickets, Role::Registry, Role::Orchestration, Role::Agent];

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Tickets => "tickets",
            Role::Registry => "registry",
            Role::Orchestration => "orchestration",
            Role::Agent => "agent",
        }
    }
}

/// One process and where it answers.
#[derive(Debug)]
struct Serving {
    running: Running,
    /// None for the agents.
    grpc: Option<SocketAddr>,
    http: SocketAddr,
}

/// The running platform.
#[derive(Debug)]
pub struct Processes {
    /// In the order of [`ROLES`]; none while a role is down.
    serving: [Option<Serving>; 4],
    /// The gRPC ports.
    ports: [u16; 4],
    /// What every process is set to.
    settings: Vec<(String, String)>,
}

impl Processes {
    /// Starts every role on a data folder.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// Starts every role on a data folder, with these settings.
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> Self {
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut processes = Processes { serving: [const { None }; 4], ports: free_ports(), settings };
        for role in ROLES {
            processes.start_role(role, data);
        }
        processes
    }

    /// Starts a role, at the port it had before.
    pub fn start_role(&mut self, role: Role, data: &Path) {
        let hive = Hive::new(["serve", role.word()]);
        let hive = match role {
            Role::Agent => hive.arg("--name").arg("worker").arg("--agents").arg("2"),
            Role::Tickets | Role::Registry | Role::Orchestration => hive,
        };
        let hive = hive
            .data(data)
            .env("GRPC__SERVER__PORT", &self.ports[role as usize].to_string())
            .env("HTTP_PORT", "0")
            .env("PROMETHEUS_PORT", "0");
        let neighbours =
            ["EXECUTION_TICKET_SERVICE_PORT", "SERVICE_REGISTRY_PORT"].into_iter().zip(self.ports);
        let hive = neighbours.fold(hive, |hive, (name, port)| hive.env(name, &port.to_string()));
        let mut running =
            self.settings.iter().fold(hive, |hive, (name, value)| hive.env(name, value)).start();
        let mut address = |name: &str| -> SocketAddr {
            let line = running.wait_for_line(&format!("hive: {name} serves"));
            let address = line.trim().rsplit(' ').next().expect("the line ends with the address");
            address.parse().expect("an address")
        };
        let grpc = (role != Role::Agent).then(|| address(role.word()));
        let http = address("http");
        self.serving[role as usize] = Some(Serving { running, grpc, http });
    }

    /// `hive plan submit FILE --watch`.
    pub fn submit(&self, plan: &Path) -> Hive {
        let server = format!("127.0.0.1:{}", self.ports[Role::Orchestration as usize]);
        Hive::new(["plan".as_ref(), "submit".as_ref(), plan.as_os_str()])
            .arg("--watch")
            .arg("--server")
            .arg(server)
    }

    /// `hive health` of the three servers.
    pub fn health(&self) -> Hive {
        let addresses = self.serving.iter().flatten().filter_map(|serving| serving.grpc);
        addresses.fold(Hive::new(["health"]), |hive, address| hive.arg("--server").arg(address.to_string()))
    }

    /// Waits until a role says that it is ready.
    pub fn wait_until_ready(&self, role: Role) {
        let until = Instant::now() + LIMIT;
        loop {
            match self.get(role, "/ready") {
                (200, _) => return,
                (_, body) => assert!(Instant::now() < until, "{role:?} is not ready: {body}"),
            }
        }
    }

    /// Status and body of GET on the REST port of a role.
    pub fn get(&self, role: Role, path: &str) -> (u16, String) {
        let serving = self.serving[role as usize].as_ref().expect("the role is served");
        crate::up::get(serving.http, path)
    }

    /// Ends a role with SIGKILL.
    pub fn kill(&mut self, role: Role) -> Finished {
        self.serving[role as usize].take().expect("the role is served").running.kill()
    }

    /// Asks a role to end, and waits for it.
    pub fn end(&mut self, role: Role) -> Finished {
        let running = self.serving[role as usize].take().expect("the role is served").running;
        running.terminate();
        running.finish()
    }

    /// Asks every role to end, those that ask others first.
    pub fn end_all(mut self) {
        for role in ROLES.into_iter().rev() {
            let _ = self.end(role).exits_with(0);
        }
    }
}
