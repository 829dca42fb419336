//! Agents and their rows.

use std::collections::BTreeMap;

use hive_application::error::Error;
use hive_domain::ids::AgentId;
use hive_domain::registry::{
    Agent, AgentRecord, AgentStatus, AgentTelemetry, AgentType, Capabilities, Metadata, TokenHash,
};
use hive_domain::time::Timestamp;

use super::entity::Model;
use crate::statement::Cell;
use crate::{failure, json};

/// The columns of a row: the id, then whatever changes.
pub(super) const COLUMNS: [&str; 21] = [
    "agent_id",
    "revision",
    "agent_type",
    "capabilities",
    "metadata",
    "success_rate",
    "avg_duration_ms",
    "total_executions",
    "failed_executions",
    "last_execution_at",
    "status",
    "registered_at",
    "last_seen",
    "namespace",
    "cluster",
    "version",
    "schema_version",
    "epoch",
    "token_hash",
    "expired_at",
    "retired_at",
];

/// The cells of [`COLUMNS`].
pub(super) fn row(agent: &Agent) -> Result<[Cell; COLUMNS.len()], Error> {
    let record = agent.record();
    let capabilities: Vec<&str> = record.capabilities.iter().collect();
    Ok([
        record.agent_id.as_str().into(),
        record.revision.into(),
        record.agent_type.as_str().into(),
        json::write(&capabilities)?.into(),
        json::write(record.metadata.entries())?.into(),
        record.telemetry.success_rate.into(),
        record.telemetry.avg_duration_ms.into(),
        record.telemetry.total_executions.into(),
        record.telemetry.failed_executions.into(),
        record.telemetry.last_execution_at.into(),
        record.status.as_str().into(),
        record.registered_at.millis().into(),
        record.last_seen.millis().into(),
        record.namespace.as_str().into(),
        record.cluster.as_str().into(),
        record.version.as_str().into(),
        record.schema_version.into(),
        record.epoch.into(),
        record.token_hash.as_bytes().as_slice().into(),
        record.expired_at.map(Timestamp::millis).into(),
        record.retired_at.map(Timestamp::millis).into(),
    ])
}

/// The agent of a row.
pub(super) fn agent(row: Model) -> Result<Agent, Error> {
    let unreadable = |column, value: String| failure::unreadable(column, value);
    let capabilities: Vec<String> = json::read_as("capabilities", &row.capabilities)?;
    let capabilities = Capabilities::parse("capabilities", capabilities)
        .map_err(|_| unreadable("capabilities", row.capabilities.clone()))?;
    let metadata: BTreeMap<String, String> = json::read_as("metadata", &row.metadata)?;
    let token_hash: [u8; 32] = row
        .token_hash
        .try_into()
        .map_err(|_| unreadable("token_hash", "a value of another length".to_owned()))?;
    Ok(Agent::restore(AgentRecord {
        agent_id: AgentId::parse(&row.agent_id).map_err(|_| unreadable("agent_id", row.agent_id))?,
        agent_type: AgentType::parse(&row.agent_type)
            .ok_or_else(|| unreadable("agent_type", row.agent_type))?,
        capabilities,
        metadata: Metadata::restore(metadata),
        telemetry: AgentTelemetry {
            success_rate: row.success_rate,
            avg_duration_ms: row.avg_duration_ms,
            total_executions: row.total_executions,
            failed_executions: row.failed_executions,
            last_execution_at: row.last_execution_at,
        },
        status: AgentStatus::parse(&row.status).ok_or_else(|| unreadable("status", row.status))?,
        registered_at: Timestamp::from_millis(row.registered_at),
        last_seen: Timestamp::from_millis(row.last_seen),
        namespace: row.namespace,
        cluster: row.cluster,
        version: row.version,
        schema_version: row.schema_version,
        epoch: row.epoch.cast_unsigned(),
        token_hash: TokenHash::from_bytes(token_hash),
        expired_at: row.expired_at.map(Timestamp::from_millis),
        retired_at: row.retired_at.map(Timestamp::from_millis),
        revision: row.revision.cast_unsigned(),
    }))
}
