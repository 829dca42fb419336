//! What the registry is asked, between its wire contract and its domain.

use std::collections::BTreeMap;

use hive_application::error::{Error, ErrorKind, invalid_id};
use hive_domain::ids::AgentId;
use hive_domain::registry::{AgentFilter, AgentType};
use tonic::Status;

use crate::status::to_status;

/// What selects agents by type, in searches.
pub(super) const TYPE_FILTER: &str = "agent_type";

pub(super) fn agent_id(text: &str) -> Result<AgentId, Status> {
    AgentId::parse(text).map_err(invalid_id("agent_id")).map_err(to_status)
}

/// The type a list or a watch is about; 0 is every type.
pub(super) fn agent_type(number: i32) -> Result<Option<AgentType>, Status> {
    match number {
        0 => Ok(None),
        number => AgentType::from_number(number).map(Some).map_err(|error| to_status(error.into())),
    }
}

/// What a list is about: its filters, and the type that has a field of its own. Two different types are refused.
pub(super) fn filter(
    agent_type: Option<AgentType>,
    filters: &BTreeMap<String, String>,
) -> Result<AgentFilter, Status> {
    let filter = AgentFilter::parse(filters).map_err(|error| to_status(error.into()))?;
    match (agent_type, filter.agent_type) {
        (Some(one), Some(other)) if one != other => Err(other_type(one)),
        (one, other) => Ok(AgentFilter { agent_type: one.or(other), ..filter }),
    }
}

/// The filters of a search for workers.
pub(super) fn workers_only(
    mut filters: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Status> {
    let worker = AgentType::Worker;
    match filters.insert(TYPE_FILTER.to_owned(), worker.as_str().to_owned()) {
        Some(other) if AgentType::parse(&other) != Some(worker) => Err(other_type(worker)),
        _ => Ok(filters),
    }
}

fn other_type(asked: AgentType) -> Status {
    let problem = format_args!("must be {asked} or absent, since that type is asked for");
    to_status(Error::invalid(format!("filters.{TYPE_FILTER}"), problem))
}

/// An unknown agent in the words by which existing agents know that they have to register again.
pub(super) fn agent_error(id: &AgentId) -> impl FnOnce(Error) -> Status + '_ {
    move |error| match error.kind() {
        ErrorKind::NotFound => {
            to_status(Error::new(ErrorKind::NotFound, error.reason(), format!("Agente {id} não encontrado")))
        }
        _ => to_status(error),
    }
}

#[cfg(test)]
mod tests {
    use hive_domain::registry::AgentStatus;
    use hive_proto::grpc::neural_hive::service_registry as wire;
    use tonic::Code;

    use super::*;

    #[test]
    fn words_have_the_numbers_of_the_contract() {
        for kind in AgentType::ALL {
            let number = wire::AgentType::from_str_name(kind.as_str()).unwrap() as i32;
            assert_eq!(kind.number(), number);
            assert_eq!(agent_type(number).unwrap(), Some(kind));
        }
        for status in AgentStatus::ALL {
            assert_eq!(status.number(), wire::AgentStatus::from_str_name(status.as_str()).unwrap() as i32);
        }
        assert_eq!(agent_type(0).unwrap(), None);
        assert_eq!(agent_type(9).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn two_types_are_refused() {
        let filters = BTreeMap::from([("agent_type".to_owned(), "scout".to_owned())]);
        assert_eq!(filter(None, &filters).unwrap().agent_type, Some(AgentType::Scout));
        assert!(filter(Some(AgentType::Scout), &filters).is_ok());
        assert_eq!(filter(Some(AgentType::Guard), &filters).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(workers_only(filters).unwrap_err().code(), Code::InvalidArgument);
        let workers = BTreeMap::from([("agent_type".to_owned(), "worker".to_owned())]);
        assert_eq!(workers_only(workers).unwrap()["agent_type"], "WORKER");
        assert_eq!(workers_only(BTreeMap::new()).unwrap()["agent_type"], "WORKER");
    }
}
