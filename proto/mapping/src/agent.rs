//! Agents as messages. Times of the contract are Unix seconds; what is ours keeps the milliseconds.

use std::sync::Arc;

use hive_application::error::{Error, invalid_id};
use hive_application::registry::{Notification, Registration};
use hive_domain::ids::AgentId;
use hive_domain::registry::public::{
    AgentChange, AgentChangeKind, AgentSnapshot, AgentStatus, AgentTelemetry, AgentType,
};
use hive_domain::registry::{AnnouncementDraft, RegistrationToken};
use hive_domain::time::Timestamp;
use hive_proto::grpc::neural_hive::service_registry as wire;
use wire::agent_change_event::EventType;

/// The call metadata that may carry the token of an earlier registration.
pub const REGISTRATION_TOKEN: &str = "registration-token";

/// Whole seconds, rounded down.
pub fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}

/// The figures of an agent as the wire shows them.
pub fn figures(telemetry: AgentTelemetry) -> wire::AgentTelemetry {
    wire::AgentTelemetry {
        success_rate: telemetry.success_rate,
        avg_duration_ms: telemetry.avg_duration_ms,
        total_executions: telemetry.total_executions,
        failed_executions: telemetry.failed_executions,
        last_execution_at: telemetry.last_execution_at,
    }
}

/// Figures that were sent.
pub fn telemetry(given: wire::AgentTelemetry) -> AgentTelemetry {
    AgentTelemetry {
        success_rate: given.success_rate,
        avg_duration_ms: given.avg_duration_ms,
        total_executions: given.total_executions,
        failed_executions: given.failed_executions,
        last_execution_at: given.last_execution_at,
    }
}

/// The request that registers an agent.
pub fn register(announcement: AnnouncementDraft) -> wire::RegisterRequest {
    wire::RegisterRequest {
        agent_type: announcement.agent_type.number(),
        capabilities: announcement.capabilities,
        metadata: announcement.metadata,
        namespace: announcement.namespace,
        cluster: announcement.cluster,
        version: announcement.version,
        telemetry: announcement.telemetry.map(figures),
    }
}

/// What a request to register announces.
pub fn announcement(request: wire::RegisterRequest) -> Result<AnnouncementDraft, Error> {
    Ok(AnnouncementDraft {
        agent_type: AgentType::from_number(request.agent_type)?,
        capabilities: request.capabilities,
        metadata: request.metadata,
        namespace: request.namespace,
        cluster: request.cluster,
        version: request.version,
        telemetry: request.telemetry.map(telemetry),
    })
}

/// A registration as the wire shows it.
pub fn registered(made: &Registration) -> wire::RegisterResponse {
    wire::RegisterResponse {
        agent_id: made.agent_id.to_string(),
        registration_token: made.token.reveal().to_owned(),
        registered_at: seconds(made.registered_at),
        epoch: made.epoch,
        registered_at_ms: made.registered_at.millis(),
    }
}

/// A registration that the registry made.
pub fn registration(wire: wire::RegisterResponse) -> Result<Registration, Error> {
    Ok(Registration {
        agent_id: AgentId::parse(&wire.agent_id).map_err(invalid_id("agent_id"))?,
        epoch: wire.epoch,
        token: RegistrationToken::new(wire.registration_token),
        registered_at: Timestamp::from_millis(wire.registered_at_ms),
    })
}

/// A notification as the wire shows it.
pub fn told(notification: Notification) -> wire::AgentNotification {
    let Notification { kind, message, metadata, at } = notification;
    wire::AgentNotification { notification_type: kind, message, metadata, timestamp_ms: at.millis() }
}

/// A notification that the registry sent.
pub fn notification(wire: wire::AgentNotification) -> Notification {
    let wire::AgentNotification { notification_type, message, metadata, timestamp_ms } = wire;
    Notification { kind: notification_type, message, metadata, at: Timestamp::from_millis(timestamp_ms) }
}

/// An agent as the wire shows it.
pub fn info(known: &AgentSnapshot) -> wire::AgentInfo {
    wire::AgentInfo {
        agent_id: known.agent_id.to_string(),
        agent_type: known.agent_type.number(),
        capabilities: known.capabilities.clone(),
        metadata: known.metadata.clone(),
        telemetry: Some(figures(known.telemetry)),
        status: known.status.number(),
        registered_at: seconds(known.registered_at),
        last_seen: seconds(known.last_seen),
        namespace: known.namespace.clone(),
        cluster: known.cluster.clone(),
        version: known.version.clone(),
        schema_version: known.schema_version,
        epoch: known.epoch,
        is_expired: known.is_expired,
        revision: known.revision,
        max_concurrent_tasks: known.max_concurrent_tasks,
        registered_at_ms: known.registered_at.millis(),
        last_seen_ms: known.last_seen.millis(),
    }
}

/// An agent that the registry sent, as it was there.
pub fn snapshot(wire: wire::AgentInfo) -> Result<AgentSnapshot, Error> {
    let status = AgentStatus::ALL.into_iter().find(|status| status.number() == wire.status);
    Ok(AgentSnapshot {
        agent_id: AgentId::parse(&wire.agent_id).map_err(invalid_id("agent_id"))?,
        agent_type: AgentType::from_number(wire.agent_type)?,
        capabilities: wire.capabilities,
        metadata: wire.metadata,
        telemetry: telemetry(wire.telemetry.unwrap_or_default()),
        status: status.ok_or_else(|| Error::invalid("status", "is not a status of the registry"))?,
        registered_at: Timestamp::from_millis(wire.registered_at_ms),
        last_seen: Timestamp::from_millis(wire.last_seen_ms),
        namespace: wire.namespace,
        cluster: wire.cluster,
        version: wire.version,
        schema_version: wire.schema_version,
        is_expired: wire.is_expired,
        epoch: wire.epoch,
        revision: wire.revision,
        max_concurrent_tasks: wire.max_concurrent_tasks,
    })
}

/// The contract has no word for a lease that ran out: the agent's status changed.
pub const fn event_type(kind: AgentChangeKind) -> EventType {
    match kind {
        AgentChangeKind::Registered => EventType::Registered,
        AgentChangeKind::Updated => EventType::Updated,
        AgentChangeKind::StatusChanged | AgentChangeKind::Expired => EventType::StatusChanged,
        AgentChangeKind::Deregistered => EventType::Deregistered,
    }
}

/// A change of an agent as the wire shows it.
pub fn event(kind: AgentChangeKind, agent: &AgentSnapshot, at: Timestamp) -> wire::AgentChangeEvent {
    wire::AgentChangeEvent {
        event_type: event_type(kind) as i32,
        agent: Some(info(agent)),
        timestamp: seconds(at),
        timestamp_ms: at.millis(),
        lease_lost: kind == AgentChangeKind::Expired,
        ..wire::AgentChangeEvent::default()
    }
}

/// A change that the registry sent, as it was there.
pub fn change(wire: wire::AgentChangeEvent) -> Result<Arc<AgentChange>, Error> {
    let kind = match wire.event_type() {
        EventType::Registered => AgentChangeKind::Registered,
        EventType::Updated => AgentChangeKind::Updated,
        EventType::StatusChanged if wire.lease_lost => AgentChangeKind::Expired,
        EventType::StatusChanged => AgentChangeKind::StatusChanged,
        EventType::Deregistered => AgentChangeKind::Deregistered,
        EventType::Snapshot | EventType::Unspecified => {
            return Err(Error::invalid("event_type", "is no change of an agent"));
        }
    };
    let at = Timestamp::from_millis(wire.timestamp_ms);
    Ok(Arc::new(AgentChange { kind, agent: snapshot(wire.agent.unwrap_or_default())?, at }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
