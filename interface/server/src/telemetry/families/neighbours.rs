//! Families that watch something this system does not have. Dashboards and alerts query them; they are there, at 0, with
//! the reason.

use super::{CALLS, COUNTS, Family, STEPS, UNDOS};

const NO_KAFKA: &str =
    "plans come by file, gRPC and REST, and messages wait in the outbox; no Kafka is connected";
const NO_TEMPORAL: &str = "flows are kept by the journal; there is no Temporal";
const NO_MONGO: &str = "tickets, history and flows are kept in databases of their own; there is no MongoDB";
const NO_REDIS: &str = "whether a plan is known is decided by the journal; there is no Redis";
const NO_MONITOR: &str =
    "service levels are judged when a plan ends; there is no monitor with budgets and alerts";
const NOT_IN_FLOW: &str = "the flow has no such step";
const NO_PREEMPTION: &str = "no ticket is stopped for a more urgent one; the most urgent is started first";
const IN_SCORE: &str = "affinity is a term of the score, see neural_hive_orchestrator_affinity_score";
const NO_OPA: &str = "the policy of the risk band is a rule of validation; there is no policy engine";
const NO_TENANTS: &str =
    "there are no tenants; refused tokens show in grpc_server_handled_total and api_errors_total";

pub(super) const FAMILIES: &[Family] = &[
    Family::counter("orchestration_kafka_messages_consumed_total", &[], "plans taken from Kafka")
        .never(NO_KAFKA),
    Family::counter("orchestration_kafka_messages_produced_total", &[], "messages handed to Kafka")
        .never(NO_KAFKA),
    Family::gauge("orchestration_kafka_consumer_lag", &[], "plans not yet taken from Kafka").never(NO_KAFKA),
    Family::counter(
        "orchestration_kafka_errors_total",
        &[("operation", &["consume", "produce"]), ("error_type", &["broker"])],
        "failures of Kafka",
    )
    .never(NO_KAFKA),
    Family::counter(
        "neural_hive_kafka_partition_messages_total",
        &[("topic", &["execution.tickets"]), ("partition", &["0"])],
        "messages by partition",
    )
    .never(NO_KAFKA),
    Family::counter(
        "neural_hive_kafka_partition_bytes_total",
        &[("topic", &["execution.tickets"]), ("partition", &["0"])],
        "bytes by partition",
    )
    .never(NO_KAFKA),
    Family::counter(
        "neural_hive_kafka_hot_partition_detected_total",
        &[("topic", &["execution.tickets"]), ("partition", &["0"])],
        "partitions with far more than their share",
    )
    .never(NO_KAFKA),
    Family::gauge(
        "neural_hive_kafka_partition_distribution",
        &[("topic", &["execution.tickets"]), ("partition", &["0"])],
        "share of a partition",
    )
    .never(NO_KAFKA),
    Family::counter(
        "neural_hive_kafka_producer_config_validation_errors_total",
        &[("validation_stage", &["start"]), ("missing_attribute", &["none"])],
        "wrong settings of the producer",
    )
    .never(NO_KAFKA),
    Family::counter(
        "orchestration_workflow_query_total",
        &[("query_name", &["status"]), ("status", &["success", "error"])],
        "queries of workflows; see api_requests_total and grpc_server_handled_total",
    )
    .never(NO_TEMPORAL),
    Family::counter(
        "neural_hive_temporal_activity_registration_errors_total",
        &[("activity_name", &["none"]), ("workflow_name", &["none"])],
        "activities that could not be registered",
    )
    .never(NO_TEMPORAL),
    Family::counter(
        "orchestration_mongodb_fallback_total",
        &[("source", &["query"]), ("status", &["success", "error"])],
        "reads from MongoDB instead of Temporal",
    )
    .never(NO_MONGO),
    Family::gauge("mongodb_pool_size", &[("pool_type", &["max", "min"])], "connections of the pool")
        .never(NO_MONGO),
    Family::gauge("mongodb_pool_checkedout", &[], "connections in use").never(NO_MONGO),
    Family::gauge("mongodb_circuit_breaker_state", &[("circuit_name", &["mongodb"])], "state of the breaker")
        .never(NO_MONGO),
    Family::counter(
        "mongodb_persistence_errors_total",
        &[("collection", &["execution_tickets"]), ("operation", &["upsert"]), ("error_type", &["other"])],
        "failed writes",
    )
    .never(NO_MONGO),
    Family::histogram(
        "mongodb_persistence_duration_seconds",
        CALLS,
        &[("collection", &["execution_tickets"]), ("operation", &["upsert"])],
        "seconds of writes",
    )
    .never(NO_MONGO),
    Family::counter(
        "mongodb_index_validation_total",
        &[("collection", &["execution_tickets"]), ("status", &["success", "error"])],
        "indexes checked",
    )
    .never(NO_MONGO),
    Family::counter(
        "mongodb_persistence_fail_open_total",
        &[("collection", &["execution_tickets"])],
        "writes given up",
    )
    .never(NO_MONGO),
    Family::counter(
        "orchestrator_idempotency_cache_hits_total",
        &[("component", &["plan_intake"])],
        "plans known to a cache",
    )
    .never(NO_REDIS),
    Family::counter(
        "neural_hive_orchestrator_affinity_cache_operations_total",
        &[("operation", &["get", "set"]), ("status", &["success", "error"])],
        "operations of a cache of affinities",
    )
    .never(NO_REDIS),
    Family::gauge(
        "orchestration_sla_budget_remaining_percent",
        &[("service_name", &["orchestrator-dynamic"]), ("slo_id", &["none"])],
        "error budget left",
    )
    .never(NO_MONITOR),
    Family::gauge(
        "orchestration_sla_budget_status",
        &[("service_name", &["orchestrator-dynamic"]), ("slo_id", &["none"])],
        "state of the error budget",
    )
    .never(NO_MONITOR),
    Family::gauge(
        "orchestration_sla_burn_rate",
        &[("service_name", &["orchestrator-dynamic"]), ("window_hours", &["1"])],
        "how fast the error budget goes",
    )
    .never(NO_MONITOR),
    Family::counter(
        "orchestration_sla_alerts_sent_total",
        &[("alert_type", &["none"]), ("severity", &["none"])],
        "alerts sent",
    )
    .never(NO_MONITOR),
    Family::counter(
        "orchestration_sla_monitor_errors_total",
        &[("error_type", &["none"])],
        "failures of the monitor",
    )
    .never(NO_MONITOR),
    Family::counter("orchestration_sla_alert_deduplication_hits_total", &[], "alerts not repeated")
        .never(NO_MONITOR),
    Family::histogram(
        "orchestration_sla_check_duration_seconds",
        STEPS,
        &[("check_type", &["deadline", "workflow", "budget"])],
        "seconds of a check",
    )
    .never(NO_MONITOR),
    Family::counter(
        "orchestration_dag_optimizations_total",
        &[],
        "graphs rearranged; a plan runs as it was approved",
    )
    .never(NOT_IN_FLOW),
    Family::counter("orchestration_burst_capacity_activations_total", &[], "extra capacity asked for")
        .never(NOT_IN_FLOW),
    Family::counter(
        "neural_hive_orchestrator_correlation_id_missing_total",
        &[],
        "plans without a correlation id; they are given one",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "orchestration_self_healing_triggered_total",
        &[("incident_type", &["WORKER_FAILURE"])],
        "calls of self-healing; incidents are told by a topic",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "orchestration_fallback_stub_activations_total",
        &[("reason", &["none"])],
        "allocations to no real agent; a ticket without an agent waits",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "orchestration_telemetry_buffered_total",
        &[],
        "frames kept back; the outbox is the buffer",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "neural_hive_component_initialization_total",
        &[("component_name", &["none"]), ("status", &["success", "error"])],
        "parts started; a part that cannot start ends the process",
    )
    .never(NOT_IN_FLOW),
    Family::histogram(
        "neural_hive_component_initialization_duration_seconds",
        STEPS,
        &[("component_name", &["none"]), ("status", &["success", "error"])],
        "seconds to start a part",
    )
    .never(NOT_IN_FLOW),
    Family::gauge(
        "neural_hive_component_initialization_status",
        &[("component_name", &["none"])],
        "state of a part",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "neural_hive_circuit_breaker_initialization_errors_total",
        &[("circuit_name", &["none"]), ("error_type", &["none"])],
        "breakers that could not be made",
    )
    .never(NOT_IN_FLOW),
    Family::gauge(
        "neural_hive_circuit_breaker_initialization_status",
        &[("circuit_name", &["none"])],
        "state of making a breaker",
    )
    .never(NOT_IN_FLOW),
    Family::counter(
        "orchestration_tasks_preempted_total",
        &[("preempted_priority", &["LOW"]), ("preemptor_priority", &["HIGH", "CRITICAL"])],
        "tickets stopped for others",
    )
    .never(NO_PREEMPTION),
    Family::counter(
        "orchestration_preemption_attempts_total",
        &[("success", &["true", "false"]), ("reason", &["none"])],
        "attempts to stop a ticket",
    )
    .never(NO_PREEMPTION),
    Family::counter(
        "orchestration_preemption_failures_total",
        &[("reason", &["none"])],
        "attempts that failed",
    )
    .never(NO_PREEMPTION),
    Family::histogram("orchestration_preemption_duration_seconds", UNDOS, &[], "seconds to stop a ticket")
        .never(NO_PREEMPTION),
    Family::gauge("orchestration_active_preemptions", &[], "tickets being stopped").never(NO_PREEMPTION),
    Family::counter("orchestration_preempted_tasks_retried_total", &[], "stopped tickets tried again")
        .never(NO_PREEMPTION),
    Family::counter(
        "neural_hive_orchestrator_affinity_hits_total",
        &[("affinity_type", &["plan", "intent"])],
        "tickets beside others of their kind",
    )
    .never(IN_SCORE),
    Family::counter(
        "neural_hive_orchestrator_affinity_misses_total",
        &[("affinity_type", &["plan", "intent"])],
        "tickets not beside others of their kind",
    )
    .never(IN_SCORE),
    Family::counter(
        "neural_hive_orchestrator_anti_affinity_enforced_total",
        &[
            ("risk_band", &["low", "medium", "high", "critical"]),
            ("priority", &["LOW", "NORMAL", "HIGH", "CRITICAL"]),
        ],
        "tickets kept apart",
    )
    .never(IN_SCORE),
    Family::counter(
        "orchestration_opa_validations_total",
        &[("policy_name", &["none"]), ("result", &["allowed", "denied"])],
        "policies asked",
    )
    .never(NO_OPA),
    Family::histogram(
        "orchestration_opa_validation_duration_seconds",
        CALLS,
        &[("policy_name", &["none"])],
        "seconds to ask a policy",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_policy_rejections_total",
        &[("policy_name", &["none"]), ("rule", &["none"]), ("severity", &["none"])],
        "plans rejected by a policy",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_violations_by_policy_total",
        &[("policy_name", &["none"]), ("rule", &["none"]), ("severity", &["none"])],
        "policies broken",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_policy_warnings_total",
        &[("policy_name", &["none"]), ("rule", &["none"])],
        "warnings of policies",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_policy_violation_rate_total",
        &[("policy_name", &["none"]), ("rule", &["none"])],
        "policies broken",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_evaluation_errors_total",
        &[("error_type", &["none"])],
        "policies that could not be asked",
    )
    .never(NO_OPA),
    Family::counter("orchestration_opa_cache_hits_total", &[], "answers known already").never(NO_OPA),
    Family::gauge("orchestration_opa_cache_hit_ratio", &[], "share of answers known already").never(NO_OPA),
    Family::gauge(
        "orchestration_opa_feature_flags",
        &[("flag_name", &["none"]), ("namespace", &["none"])],
        "flags set by policies",
    )
    .never(NO_OPA),
    Family::gauge(
        "orchestration_opa_circuit_breaker_state",
        &[("circuit_name", &["none"])],
        "state of the breaker",
    )
    .never(NO_OPA),
    Family::histogram(
        "orchestration_opa_policy_decision_duration_seconds",
        CALLS,
        &[("policy_path", &["none"])],
        "seconds of a decision",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_opa_circuit_breaker_transitions_total",
        &[("from_state", &["none"]), ("to_state", &["none"])],
        "changes of the breaker",
    )
    .never(NO_OPA),
    Family::histogram("orchestration_opa_batch_evaluation_size", COUNTS, &[], "policies asked at once")
        .never(NO_OPA),
    Family::counter(
        "neural_hive_authorization_audit_logged_total",
        &[("policy_path", &["none"]), ("decision", &["none"])],
        "decisions recorded",
    )
    .never(NO_OPA),
    Family::counter(
        "neural_hive_authorization_audit_errors_total",
        &[("error_type", &["none"])],
        "decisions not recorded",
    )
    .never(NO_OPA),
    Family::histogram(
        "neural_hive_authorization_audit_query_duration_seconds",
        CALLS,
        &[("query_type", &["none"])],
        "seconds to read recorded decisions",
    )
    .never(NO_OPA),
    Family::counter(
        "orchestration_security_violations_total",
        &[("violation_type", &["none"]), ("severity", &["none"])],
        "breaches",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_security_authentication_failures_total",
        &[("reason", &["none"])],
        "callers nobody knows",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_security_authorization_denials_total",
        &[("capability", &["none"])],
        "callers that may not",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_security_tenant_isolation_violations_total",
        &[("source_tenant", &["none"]), ("target_tenant", &["none"])],
        "tenants that met",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_security_data_governance_violations_total",
        &[("violation_type", &["none"])],
        "data in the wrong place",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_security_rate_limit_exceeded_total",
        &[("limit_type", &["none"])],
        "callers too fast",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_jwt_validation_failures_total",
        &[("reason", &["none"])],
        "tokens refused",
    )
    .never(NO_TENANTS),
    Family::counter(
        "orchestration_mtls_handshake_failures_total",
        &[("service", &["none"]), ("reason", &["none"])],
        "connections refused",
    )
    .never(NO_TENANTS),
    Family::counter(
        "grpc_auth_attempts_total",
        &[("method", &["none"]), ("status", &["missing_token", "success"])],
        "calls that had to name their caller",
    )
    .never(NO_TENANTS),
    Family::counter(
        "grpc_auth_failures_total",
        &[
            ("method", &["none"]),
            ("reason", &["missing_token", "invalid_token", "unauthorized", "verification_error"]),
        ],
        "calls refused for their token",
    )
    .never(NO_TENANTS),
];
