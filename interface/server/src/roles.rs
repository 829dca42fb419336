//! What a process serves.

use std::collections::BTreeSet;

use clap::ValueEnum;

/// A service of the platform that operators may run as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// The tickets: gRPC on 50052, REST
    Tickets,
    /// Plans and their flows: gRPC on 50053, REST
    Orchestration,
    /// The agents there are: gRPC on 50051
    Registry,
    /// Agents that work
    Agent,
}

impl Role {
    /// The name of the service, as probes and telemetry know it.
    pub(crate) const fn service(self) -> &'static str {
        match self {
            Role::Tickets => "execution-ticket-service",
            Role::Orchestration => "orchestrator-dynamic",
            Role::Registry => "service-registry",
            Role::Agent => "hive-agent",
        }
    }

    /// What locks its part of a data folder.
    const fn lock(self) -> &'static str {
        match self {
            Role::Tickets => "tickets.lock",
            Role::Orchestration => "orchestration.lock",
            Role::Registry => "registry.lock",
            Role::Agent => "agent.lock",
        }
    }
}

/// The roles of a process, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(BTreeSet<Role>);

impl Roles {
    /// All roles.
    pub(crate) fn all() -> Self {
        Roles::of(&[Role::Tickets, Role::Orchestration, Role::Registry, Role::Agent])
    }

    /// These roles.
    pub(crate) fn of(roles: &[Role]) -> Self {
        Roles(roles.iter().copied().collect())
    }

    /// Whether the process serves the role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// The role, when it is the only one.
    pub(crate) fn single(&self) -> Option<Role> {
        self.0.first().copied().filter(|_| self.0.len() == 1)
    }

    /// What locks their parts of a data folder.
    pub(crate) fn locks(&self) -> Vec<&'static str> {
        self.0.iter().map(|role| role.lock()).collect()
    }

    /// The name under which `/health` tells of them.
    pub(crate) fn service(&self) -> &'static str {
        self.single().map_or("hive", Role::service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_role_has_its_own_name() {
        assert_eq!(Roles::of(&[Role::Tickets, Role::Tickets]).service(), "execution-ticket-service");
        assert_eq!(Roles::of(&[Role::Tickets, Role::Agent]).service(), "hive");
        assert_eq!(Roles::all().locks().len(), 4);
    }
}
