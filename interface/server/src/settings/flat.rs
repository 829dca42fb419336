//! Plain names that several roles have always had, each with a meaning of its own.

use hive_grpc_kit::settings::{Given, SettingsError};

use crate::roles::{Role, Roles};

/// One such name: who reads it, and what to set instead when more than one of them is served.
struct Flat {
    name: &'static str,
    roles: &'static [Role],
    instead: &'static str,
}

use Role::{Orchestration, Registry, Tickets};

const FLAT: &[Flat] = &[
    Flat {
        name: "GRPC_PORT",
        roles: &[Tickets, Registry],
        instead: "TICKETS__GRPC_PORT for the tickets, GRPC__SERVER__PORT for the registry",
    },
    Flat { name: "GRPC_SERVER_PORT", roles: &[Orchestration], instead: "ORCHESTRATION__GRPC_PORT" },
    Flat {
        name: "POSTGRES_DATABASE",
        roles: &[Tickets, Orchestration],
        instead: "TICKETS__POSTGRES_DATABASE",
    },
    // Nothing reads it, as long as no plan and no ticket is taken from Kafka; two roles in one process could not mean it.
    Flat {
        name: "KAFKA_CONSUMER_GROUP_ID",
        roles: &[Tickets, Orchestration],
        instead: "it for one role, and serve the other in a process of its own",
    },
    Flat {
        name: "SERVICE_NAME",
        roles: &[Tickets, Orchestration, Registry],
        instead: "nothing: each role has its own name",
    },
];

/// Whether a name is one of them, in any case.
pub(super) fn is_flat(name: &str) -> bool {
    FLAT.iter().any(|flat| name.eq_ignore_ascii_case(flat.name))
}

/// What such names say to a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FlatNames(pub(super) Vec<Given>);

impl FlatNames {
    /// Refuses names that two of the roles read differently.
    pub(crate) fn check(&self, roles: &Roles) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        for flat in FLAT {
            let readers = flat.roles.iter().filter(|role| roles.has(**role)).count();
            let set = self.0.iter().filter(|set| set.name.eq_ignore_ascii_case(flat.name));
            let message = format!("the roles served here read it differently; set {}", flat.instead);
            problems.extend(set.filter(|_| readers > 1).map(|set| set.problem(&message)));
        }
        if problems.is_empty() { Ok(()) } else { Err(SettingsError { problems }) }
    }

    /// The gRPC port that the only role of a process was given by its own plain name.
    pub(crate) fn port(&self, roles: &Roles) -> Result<Option<u16>, SettingsError> {
        let name = match roles.single() {
            Some(Tickets | Registry) => "GRPC_PORT",
            Some(Orchestration) => "GRPC_SERVER_PORT",
            Some(Role::Agent) | None => return Ok(None),
        };
        let Some(set) = self.find(name) else { return Ok(None) };
        set.value.parse().map(Some).map_err(|_| SettingsError {
            problems: vec![set.problem("must be a whole number from 0 to 65535")],
        })
    }

    /// The name that the only role of a process was given.
    pub(crate) fn service(&self, roles: &Roles) -> Option<&str> {
        let is_service = roles.single().is_some_and(|role| role != Role::Agent);
        self.find("SERVICE_NAME").filter(|_| is_service).map(|set| set.value.as_str())
    }

    /// The strongest: the environment comes after the file, and the later line after the earlier.
    fn find(&self, name: &str) -> Option<&Given> {
        self.0.iter().rfind(|set| set.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use hive_grpc_kit::settings::Origin;

    use super::*;

    fn names(set: &[(&str, &str)]) -> FlatNames {
        let value = |(name, value): &(&str, &str)| Given {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            origin: Origin::Environment,
        };
        FlatNames(set.iter().map(value).collect())
    }

    #[test]
    fn what_two_roles_read_differently_is_refused() {
        let set = names(&[("GRPC_PORT", "1"), ("POSTGRES_DATABASE", "x")]);
        assert!(set.check(&Roles::of(&[Tickets])).is_ok());
        assert!(set.check(&Roles::of(&[Registry, Orchestration])).is_ok());
        let refused = set.check(&Roles::all()).unwrap_err().to_string();
        let port =
            "GRPC_PORT (environment): the roles served here read it differently; set TICKETS__GRPC_PORT";
        assert!(refused.contains(port), "{refused}");
        assert!(refused.contains("POSTGRES_DATABASE (environment)"), "{refused}");
    }

    #[test]
    fn one_role_takes_them_as_its_own() {
        let set = names(&[("grpc_port", "7"), ("GRPC_SERVER_PORT", "x"), ("SERVICE_NAME", "mine")]);
        assert_eq!(set.port(&Roles::of(&[Tickets])), Ok(Some(7)));
        assert_eq!(set.port(&Roles::of(&[Role::Agent])), Ok(None));
        assert!(set.port(&Roles::of(&[Orchestration])).is_err());
        assert_eq!(set.service(&Roles::of(&[Registry])), Some("mine"));
        assert_eq!(set.service(&Roles::of(&[Role::Agent])), None);
    }
}
