//! What callers want created, between the wire and the use cases.

use std::collections::BTreeMap;

use hive_application::error::Error;
use hive_application::tickets::{GivenPriority, QosDraft, SlaDraft, TicketDraft};
use hive_mapping::ticket::{object, optional_json};
use hive_proto::grpc::neural_hive::execution as wire;

/// Levels of arrays and objects inside each other.
const MAX_NESTING: usize = 64;

/// A ticket that a caller wants created. Empty texts, lists and maps count as not sent. `prefix` stands before the names
/// of fields in errors.
pub(super) fn draft(prefix: &str, wire: wire::ExecutionTicket) -> Result<TicketDraft, Error> {
    let set_by_service = set_by_service(&wire);
    Ok(TicketDraft {
        ticket_id: sent(wire.ticket_id),
        plan_id: sent(wire.plan_id),
        intent_id: sent(wire.intent_id),
        decision_id: sent(wire.decision_id),
        correlation_id: wire.correlation_id,
        trace_id: wire.trace_id,
        span_id: wire.span_id,
        task_id: sent(wire.task_id),
        task_type: sent(wire.task_type),
        description: wire.description,
        dependencies: Some(wire.dependencies).filter(|ids| !ids.is_empty()),
        status: sent(wire.status),
        priority: sent(wire.priority).map(GivenPriority::Word),
        risk_band: sent(wire.risk_band),
        sla: wire.sla.map(|sla| SlaDraft {
            deadline: sla.deadline,
            timeout_ms: sla.timeout_ms,
            max_retries: sla.max_retries.map(i64::from),
        }),
        qos: wire.qos.map(|qos| QosDraft {
            delivery_mode: sent(qos.delivery_mode),
            consistency: sent(qos.consistency),
            durability: sent(qos.durability),
        }),
        parameters: object(prefix, "parameters", &wire.parameters, MAX_NESTING)?,
        required_capabilities: Some(wire.required_capabilities).filter(|words| !words.is_empty()),
        security_level: sent(wire.security_level),
        created_at: wire.created_at,
        estimated_duration_ms: wire.estimated_duration_ms,
        metadata: Some(wire.metadata).filter(|pairs: &BTreeMap<_, _>| !pairs.is_empty()),
        predictions: optional_json(prefix, "predictions", wire.predictions.as_deref(), MAX_NESTING)?,
        schema_version: wire.schema_version.map(i64::from),
        set_by_service,
    })
}

fn set_by_service(wire: &wire::ExecutionTicket) -> Option<&'static str> {
    let fields = [
        ("started_at", wire.started_at.is_some()),
        ("completed_at", wire.completed_at.is_some()),
        ("actual_duration_ms", wire.actual_duration_ms.is_some()),
        ("retry_count", wire.retry_count != 0),
        ("error_message", wire.error_message.as_ref().is_some_and(|text| !text.is_empty())),
        ("compensation_ticket_id", wire.compensation_ticket_id.as_ref().is_some_and(|id| !id.is_empty())),
        ("assigned_worker", wire.assigned_worker.is_some()),
        ("agent_id", wire.agent_id.is_some()),
        ("epoch", wire.epoch.is_some()),
        ("dispatched_at", wire.dispatched_at.is_some()),
        ("not_before", wire.not_before.is_some()),
        ("retryable", wire.retryable.is_some()),
        ("allocation", wire.allocation.is_some()),
        ("version", wire.version != 0),
    ];
    fields.into_iter().find_map(|(name, sent)| sent.then_some(name))
}

/// A text that says something.
pub(super) fn sent(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
