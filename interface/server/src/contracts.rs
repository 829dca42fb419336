//! Which methods each role serves, by their contracts.

use hive_grpc_kit::methods::{MethodId, Methods};
use hive_grpc_kit::server::config::Config;
use hive_proto::grpc::{
    DISPATCH_DESCRIPTOR_SET, EXECUTION_DESCRIPTOR_SET, ORCHESTRATOR_DESCRIPTOR_SET,
    SERVICE_REGISTRY_DESCRIPTOR_SET, TICKET_SERVICE_DESCRIPTOR_SET,
};

use crate::roles::Role;

const fn contracts(role: Role) -> &'static [&'static [u8]] {
    match role {
        Role::Tickets => &[EXECUTION_DESCRIPTOR_SET, TICKET_SERVICE_DESCRIPTOR_SET, DISPATCH_DESCRIPTOR_SET],
        Role::Orchestration => &[ORCHESTRATOR_DESCRIPTOR_SET],
        Role::Registry => &[SERVICE_REGISTRY_DESCRIPTOR_SET],
        Role::Agent => &[],
    }
}

/// Whether the role serves the method of this path.
fn serves(role: Role, path: &str) -> bool {
    contracts(role).iter().any(|contract| {
        let mut methods = Methods::empty();
        methods.add_all(contract).is_ok() && methods.resolve(path) != MethodId::UNKNOWN
    })
}

/// A path that no role serves, of the methods of low priority.
pub(crate) fn unknown(config: &Config) -> Option<&str> {
    const ROLES: [Role; 3] = [Role::Tickets, Role::Orchestration, Role::Registry];
    let paths = &config.limits.low_priority_methods;
    paths.iter().map(String::as_str).find(|path| !ROLES.iter().any(|role| serves(*role, path)))
}

/// The settings of the role's own server: of the methods of low priority, those it has.
pub(crate) fn of_role(role: Role, config: &Config) -> Config {
    let mut config = config.clone();
    config.limits.low_priority_methods.retain(|path| serves(role, path));
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_the_methods_of_its_role() {
        let (tickets, registry) = (
            "/neural_hive.execution.TicketService/ListTickets",
            "/neural_hive.service_registry.ServiceRegistry/ListAgents",
        );
        let mut config = Config::default();
        config.limits.low_priority_methods = vec![tickets.to_owned(), registry.to_owned()];
        assert_eq!(unknown(&config), None);
        assert_eq!(of_role(Role::Tickets, &config).limits.low_priority_methods, [tickets]);
        assert_eq!(of_role(Role::Registry, &config).limits.low_priority_methods, [registry]);
        assert!(of_role(Role::Orchestration, &config).limits.low_priority_methods.is_empty());
        config.limits.low_priority_methods.push("/unknown/unknown".to_owned());
        assert_eq!(unknown(&config), Some("/unknown/unknown"));
    }
}
