//! C6: the messages a closed flow leaves for others. Their ids are derived, so that telling them twice tells them once.

use super::consolidation::{Consolidation, Violation, seconds};
use super::flow::{Flow, Node, PlanStatus, TIMED_OUT};
use super::generation::GENERATED_BY;
use crate::json::{Json, object};

/// A message to the outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Names it for good.
    pub message_id: String,
    /// Where it goes.
    pub topic: &'static str,
    /// What orders it within its topic.
    pub key: String,
    /// Its content.
    pub payload: Json,
}

/// Telemetry frames.
pub const TELEMETRY_TOPIC: &str = "telemetry.orchestration";
/// Incidents, for self-healing.
pub const INCIDENTS_TOPIC: &str = "orchestration.incidents";
/// Broken service levels.
pub const VIOLATIONS_TOPIC: &str = "sla.violations";

/// Everything to tell about a closed flow: its telemetry frame, its broken service levels, its incident if it is one.
pub fn messages(flow: &Flow, result: &Consolidation) -> Vec<Message> {
    let mut messages: Vec<Message> =
        result.violations.iter().map(|violation| violation_message(result, violation)).collect();
    if result.is_incident(flow.approved().plan.risk_band) {
        messages.push(incident(flow, result));
    }
    messages.push(frame(result));
    messages
}

fn frame(result: &Consolidation) -> Message {
    let message_id = format!("telemetry:{}", result.workflow_id);
    let mut metrics = result.metrics_members();
    let mut sla = result.sla_members();
    sla.insert("remaining_seconds".to_owned(), seconds(result.sla_remaining_ms));
    sla.insert("budget_status".to_owned(), "UNKNOWN".into());
    metrics.insert("sla_metrics".to_owned(), Json::Object(sla));
    let ticket_ids: Vec<&str> = result.tickets.iter().map(|ticket| ticket.ticket_id.as_str()).collect();
    let payload = object([
        ("frame_id", message_id.as_str().into()),
        (
            "correlation",
            object([
                ("intent_id", result.intent_id.as_str().into()),
                ("plan_id", result.plan_id.as_str().into()),
                ("workflow_id", result.workflow_id.as_str().into()),
                ("ticket_ids", ticket_ids.into()),
            ]),
        ),
        ("status", result.status.as_str().into()),
        ("metrics", Json::Object(metrics)),
        ("timestamp", result.consolidated_at.to_string().into()),
        ("source", GENERATED_BY.into()),
    ]);
    Message { message_id, topic: TELEMETRY_TOPIC, key: result.plan_id.to_string(), payload }
}

fn violation_message(result: &Consolidation, violation: &Violation) -> Message {
    let message_id = format!("violation:{}", violation.ticket_id);
    let payload = object([
        ("violation_id", message_id.as_str().into()),
        ("event_type", "VIOLATION".into()),
        ("workflow_id", result.workflow_id.as_str().into()),
        ("ticket_id", violation.ticket_id.as_str().into()),
        ("violation_type", "DEADLINE_EXCEEDED".into()),
        ("service_name", GENERATED_BY.into()),
        ("sla_deadline", violation.deadline.millis().into()),
        ("actual_completion", violation.ended_at.millis().into()),
        ("delay_ms", violation.delay_ms.into()),
        ("budget_remaining", Json::Null),
        ("severity", "CRITICAL".into()),
        (
            "metadata",
            object([
                ("status", violation.status.as_str().into()),
                ("retry_count", violation.retry_count.to_string().into()),
                ("duration_source", violation.duration_source.into()),
            ]),
        ),
        ("timestamp", result.consolidated_at.millis().into()),
    ]);
    Message { message_id, topic: VIOLATIONS_TOPIC, key: violation.ticket_id.to_string(), payload }
}

/// The kind of an incident, in the vocabulary of the incident schema, with its severity and the playbook that helps.
fn classify(flow: &Flow, result: &Consolidation) -> (&'static str, &'static str, Option<&'static str>) {
    let timed_out = |node: &Node| {
        !node.has_completed() && node.error_message.as_ref().is_some_and(|error| error.starts_with(TIMED_OUT))
    };
    if !result.is_consistent() {
        ("INCONSISTENCY", "WARNING", None)
    } else if !result.violations.is_empty() {
        ("SLA_VIOLATION", "CRITICAL", Some("sla_violation_mitigation"))
    } else if flow.nodes().iter().any(timed_out) {
        ("TICKET_TIMEOUT", "WARNING", Some("ticket_timeout_recovery"))
    } else {
        ("WORKER_FAILURE", "CRITICAL", Some("worker_failure_recovery"))
    }
}

fn incident(flow: &Flow, result: &Consolidation) -> Message {
    let message_id = format!("incident:{}", result.workflow_id);
    let (incident_type, severity, playbook) = classify(flow, result);
    let mut details = result.errors.clone();
    if result.status == PlanStatus::Failed {
        let metrics = &result.metrics;
        details
            .push(format!("the plan failed: {} of {} completed", metrics.successful, metrics.total_tickets));
    }
    details.extend(
        result.violations.iter().map(|v| format!("ticket {} is {} ms late", v.ticket_id, v.delay_ms)),
    );
    let tasks = flow.nodes().iter().filter(|node| node.undoes.is_none());
    let affected: Vec<&str> =
        tasks.filter(|node| !node.has_completed()).map(|node| node.ticket_id.as_str()).collect();
    let decision = &flow.approved().decision;
    let mut payload = object([
        ("incident_id", message_id.as_str().into()),
        ("workflow_id", result.workflow_id.as_str().into()),
        ("incident_type", incident_type.into()),
        ("severity", severity.into()),
        ("details", details.into()),
        ("affected_tickets", affected.into()),
        ("correlation_id", decision.correlation_id.as_deref().unwrap_or(result.workflow_id.as_str()).into()),
        ("trace_id", decision.trace_id.as_deref().unwrap_or_default().into()),
        ("recommended_playbook", playbook.into()),
        ("auto_remediation_enabled", Json::Null),
        ("escalation_required", (severity == "CRITICAL").into()),
        ("created_at", result.consolidated_at.millis().into()),
    ]);
    let hash = payload.content_hash();
    if let Json::Object(members) = &mut payload {
        members.insert("hash".to_owned(), hash.into());
    }
    Message { message_id, topic: INCIDENTS_TOPIC, key: result.workflow_id.to_string(), payload }
}
