//! What the registry measures.

use super::{AGENT_STATUSES, AGENT_TYPES, CALLS, COUNTS, Family, Label};

const BY_TYPE: &[Label] = &[("agent_type", AGENT_TYPES)];
const BY_TYPE_AND_STATUS: &[Label] = &[("agent_type", AGENT_TYPES), ("status", AGENT_STATUSES)];
const NO_ETCD: &str = "agents are kept in a database of the registry; there is no etcd";
const OUTCOME: Label = ("status", &["success", "error"]);

pub(super) const FAMILIES: &[Family] = &[
    Family::counter("agents_registered_total", BY_TYPE, "incarnations of agents admitted"),
    Family::counter(
        "agents_deregistered_total",
        BY_TYPE,
        "agents let go, by their own wish or after a long silence",
    )
    .when("an agent leaves"),
    Family::gauge("agents_active", BY_TYPE_AND_STATUS, "agents registered"),
    Family::counter(
        "heartbeats_received_total",
        BY_TYPE_AND_STATUS,
        "signs of life, by the status they lead to",
    ),
    Family::histogram("heartbeat_latency_seconds", CALLS, &[], "seconds to take in a sign of life"),
    Family::counter(
        "registry_operations_total",
        &[("operation", &["register", "heartbeat", "deregister", "get_agent", "list_agents"]), OUTCOME],
        "what was asked of the registry; a refusal is an error",
    ),
    Family::counter(
        "discovery_requests_total",
        &[("agent_type", &["all", "WORKER", "SCOUT", "GUARD", "ANALYST"])],
        "searches for agents",
    ),
    Family::histogram("discovery_duration_seconds", CALLS, &[], "seconds of a search"),
    Family::histogram("matching_candidates_evaluated", COUNTS, &[], "agents looked at in a search"),
    Family::histogram("agents_matched", COUNTS, &[], "agents found by a search"),
    Family::counter("health_checks_total", &[], "looks for silent agents"),
    Family::counter("agents_marked_unhealthy_total", BY_TYPE, "agents whose lease ran out")
        .when("an agent is silent"),
    Family::counter("agents_removed_total", BY_TYPE, "agents removed after a long silence")
        .when("an agent is silent for long"),
    Family::counter(
        "etcd_operations_total",
        &[("operation", &["get", "put", "delete", "list"]), OUTCOME],
        "operations of etcd",
    )
    .never(NO_ETCD),
    Family::histogram(
        "etcd_operation_duration_seconds",
        CALLS,
        &[("operation", &["get", "put", "delete", "list"])],
        "seconds of operations of etcd",
    )
    .never(NO_ETCD),
    Family::counter(
        "service_registry_vault_credentials_fetched_total",
        &[("credential_type", &["redis", "etcd"]), OUTCOME],
        "credentials read from Vault",
    )
    .never("secrets are settings; there is no Vault"),
];
