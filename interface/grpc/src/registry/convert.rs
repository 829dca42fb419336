//! Between the registry's wire contract and its domain. Times on the wire are Unix seconds.

use std::collections::BTreeMap;

use hive_application::error::{Error, ErrorKind, invalid_id};
use hive_application::registry::Registration;
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{AgentChangeKind, AgentSnapshot, AgentTelemetry};
use hive_domain::registry::{AgentFilter, AgentType, AnnouncementDraft};
use hive_domain::time::Timestamp;
use hive_proto::grpc::neural_hive::service_registry as wire;
use tonic::Status;

use crate::status::to_status;

/// What selects agents by type, in searches.
pub(super) const TYPE_FILTER: &str = "agent_type";

/// Whole seconds, rounded down.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}

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

pub(super) fn announcement(request: wire::RegisterRequest) -> Result<AnnouncementDraft, Status> {
    let agent_type = AgentType::from_number(request.agent_type).map_err(|error| to_status(error.into()))?;
    Ok(AnnouncementDraft {
        agent_type,
        capabilities: request.capabilities,
        metadata: request.metadata,
        namespace: request.namespace,
        cluster: request.cluster,
        version: request.version,
        telemetry: request.telemetry.map(telemetry),
    })
}

pub(super) fn telemetry(given: wire::AgentTelemetry) -> AgentTelemetry {
    AgentTelemetry {
        success_rate: given.success_rate,
        avg_duration_ms: given.avg_duration_ms,
        total_executions: given.total_executions,
        failed_executions: given.failed_executions,
        last_execution_at: given.last_execution_at,
    }
}

pub(super) fn registration(made: &Registration) -> wire::RegisterResponse {
    wire::RegisterResponse {
        agent_id: made.agent_id.to_string(),
        registration_token: made.token.reveal().to_owned(),
        registered_at: seconds(made.registered_at),
        epoch: made.epoch,
    }
}

pub(super) fn agent(known: &AgentSnapshot) -> wire::AgentInfo {
    let figures = known.telemetry;
    wire::AgentInfo {
        agent_id: known.agent_id.to_string(),
        agent_type: known.agent_type.number(),
        capabilities: known.capabilities.clone(),
        metadata: known.metadata.clone(),
        telemetry: Some(wire::AgentTelemetry {
            success_rate: figures.success_rate,
            avg_duration_ms: figures.avg_duration_ms,
            total_executions: figures.total_executions,
            failed_executions: figures.failed_executions,
            last_execution_at: figures.last_execution_at,
        }),
        status: known.status.number(),
        registered_at: seconds(known.registered_at),
        last_seen: seconds(known.last_seen),
        namespace: known.namespace.clone(),
        cluster: known.cluster.clone(),
        version: known.version.clone(),
        schema_version: known.schema_version,
        epoch: known.epoch,
    }
}

/// The contract has no word for a lease that ran out: the agent's status changed.
pub(super) const fn event_type(kind: AgentChangeKind) -> wire::agent_change_event::EventType {
    use wire::agent_change_event::EventType;
    match kind {
        AgentChangeKind::Registered => EventType::Registered,
        AgentChangeKind::Updated => EventType::Updated,
        AgentChangeKind::StatusChanged | AgentChangeKind::Expired => EventType::StatusChanged,
        AgentChangeKind::Deregistered => EventType::Deregistered,
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
    fn seconds_are_rounded_down() {
        assert_eq!(seconds(Timestamp::from_millis(1_999)), 1);
        assert_eq!(seconds(Timestamp::from_millis(-1)), -1);
    }

    #[test]
    fn a_lost_lease_is_a_change_of_status() {
        let numbers = [
            (AgentChangeKind::Registered, 1),
            (AgentChangeKind::Updated, 2),
            (AgentChangeKind::Deregistered, 3),
            (AgentChangeKind::StatusChanged, 4),
            (AgentChangeKind::Expired, 4),
        ];
        for (kind, number) in numbers {
            assert_eq!(event_type(kind) as i32, number);
        }
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
