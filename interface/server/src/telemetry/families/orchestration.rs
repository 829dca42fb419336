//! What orchestration measures.

use super::{
    COUNTS, Family, Label, PLAN_STATUSES, PLANS, PRIORITIES, RISK_BANDS, SHARES, STEPS, TASK_TYPES,
    TICKET_STATUSES, UNDOS,
};

const BAND: Label = ("risk_band", RISK_BANDS);
const TASK_TYPE: Label = ("task_type", TASK_TYPES);
const UNDO: Label = ("reason", &["plan_failed"]);
const UNDO_ENDED: Label = ("status", &["success", "failed"]);
const INCIDENT: Label =
    ("incident_type", &["INCONSISTENCY", "SLA_VIOLATION", "TICKET_TIMEOUT", "WORKER_FAILURE"]);

pub(super) const FAMILIES: &[Family] = &[
    Family::counter(
        "orchestration_workflows_started_total",
        &[("status", &["started"]), BAND],
        "plans whose tickets were made",
    ),
    Family::counter(
        "orchestration_workflows_completed_total",
        &[("status", PLAN_STATUSES), BAND],
        "plans that ended",
    ),
    Family::histogram(
        "orchestration_workflow_duration_seconds",
        PLANS,
        &[("status", PLAN_STATUSES), BAND],
        "seconds from a plan's acceptance to its last ticket",
    ),
    Family::gauge("orchestration_workflows_active", &[], "plans on their way in this process")
        .when("a plan runs while it is scraped"),
    Family::counter(
        "orchestration_tickets_generated_total",
        &[TASK_TYPE, BAND, ("priority", PRIORITIES)],
        "tickets made from plans",
    ),
    Family::counter(
        "orchestration_tickets_published_total",
        &[("status", &["published", "rejected"])],
        "tickets handed to agents, and handovers that the ticket refused",
    ),
    Family::counter(
        "orchestration_tickets_completed_total",
        &[("status", TICKET_STATUSES), TASK_TYPE],
        "ends of tickets; a failure that is tried again counts too",
    ),
    Family::histogram(
        "orchestration_ticket_generation_duration_seconds",
        STEPS,
        &[],
        "seconds to have the tickets of a plan saved",
    ),
    Family::counter(
        "orchestration_sla_violations_total",
        &[BAND, TASK_TYPE],
        "tickets late, or longer at work than agreed",
    )
    .when("a ticket breaks its service level"),
    Family::gauge(
        "orchestration_sla_remaining_seconds",
        &[BAND],
        "seconds the most pressed running plan of the band has left; 0 when none runs",
    )
    .when("a plan runs while it is scraped"),
    Family::counter(
        "orchestration_deadline_approaching_total",
        &[],
        "tickets that used up four fifths of their time, as seen at a scrape or at their end",
    )
    .when("a ticket takes that long"),
    Family::counter(
        "orchestration_retries_total",
        &[TASK_TYPE, ("retry_attempt", &["1", "2", "3", "4", "5+"])],
        "tickets that were tried again",
    )
    .when("a ticket fails and may be tried again"),
    Family::counter("orchestration_compensations_triggered_total", &[UNDO], "undos begun")
        .when("a plan fails"),
    Family::counter("orchestration_compensations_executed_total", &[UNDO, UNDO_ENDED], "undos that ended")
        .when("a plan fails"),
    Family::histogram(
        "orchestration_compensation_duration_seconds",
        UNDOS,
        &[UNDO, UNDO_ENDED],
        "seconds an agent worked on an undo",
    )
    .when("a plan fails"),
    Family::counter(
        "orchestration_plan_validations_total",
        &[("result", &["valid", "invalid"])],
        "plans judged",
    ),
    Family::counter(
        "orchestration_resource_allocations_total",
        &[("status", &["allocated", "parked"])],
        "tickets given to an agent, and tickets that no agent suits",
    ),
    Family::counter(
        "orchestration_scheduler_allocations_total",
        &[("status", &["success", "rejected"]), ("fallback", &["false"]), ("has_predictions", &["false"])],
        "the same, by the names of the scheduler",
    ),
    Family::counter(
        "orchestration_scheduler_rejections_total",
        &[("reason", &["no_workers"])],
        "tickets that no agent suits",
    )
    .when("no agent suits a ticket"),
    Family::histogram(
        "orchestration_scheduler_allocation_duration_seconds",
        STEPS,
        &[],
        "seconds until the registry named agents for a ticket, when it had to be asked",
    ),
    Family::histogram("orchestration_scheduler_workers_discovered", COUNTS, &[], "agents the registry named"),
    Family::counter(
        "orchestration_scheduler_discovery_failures_total",
        &[("error_type", &["timeout", "unavailable", "other"])],
        "questions that the registry did not answer",
    )
    .when("the registry is away"),
    Family::counter(
        "orchestration_scheduler_cache_hits_total",
        &[],
        "tickets whose agents were known already",
    ),
    Family::histogram(
        "orchestration_scheduler_priority_score",
        SHARES,
        &[("boosted", &["false"])],
        "urgency of tickets when an agent was chosen",
    ),
    Family::histogram(
        "neural_hive_orchestrator_affinity_score",
        SHARES,
        &[("affinity_type", &["all"])],
        "how well the chosen agent fits by what else it works on",
    ),
    Family::counter(
        "orchestrator_duplicates_detected_total",
        &[("component", &["plan_intake"])],
        "plans handed in at the same time as themselves",
    )
    .when("two callers hand in one plan at once"),
    Family::counter(
        "orchestration_incident_publish_total",
        &[INCIDENT, ("status", &["published"])],
        "incidents told",
    )
    .when("a plan fails or breaks its service level"),
    Family::counter(
        "orchestration_incident_publish_errors_total",
        &[INCIDENT, ("error_type", &["storage"])],
        "incidents that could not be saved; they are told later",
    )
    .when("the journal fails"),
    Family::histogram(
        "orchestration_incident_publish_duration_seconds",
        STEPS,
        &[INCIDENT],
        "seconds to save an incident",
    )
    .when("a plan fails or breaks its service level"),
    Family::counter(
        "orchestration_sla_violations_published_total",
        &[("violation_type", &["DEADLINE_EXCEEDED"])],
        "broken service levels told",
    )
    .when("a ticket breaks its service level"),
    Family::counter(
        "orchestration_telemetry_published_total",
        &[],
        "telemetry frames of ended plans, saved to be told",
    ),
];
