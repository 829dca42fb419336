//! What `hive run` writes: a table for people, one JSON document for programs.

use hive_it::document::TicketKeys;
use hive_it::folder::temporary;
use hive_it::process::Hive;
use hive_it::{example, plan};

/// The ticket model, in the order in which its readers expect it.
const KEYS: [&str; 30] = [
    "ticket_id",
    "plan_id",
    "intent_id",
    "decision_id",
    "correlation_id",
    "trace_id",
    "span_id",
    "task_id",
    "task_type",
    "description",
    "dependencies",
    "status",
    "priority",
    "risk_band",
    "sla",
    "qos",
    "parameters",
    "required_capabilities",
    "security_level",
    "created_at",
    "started_at",
    "completed_at",
    "estimated_duration_ms",
    "actual_duration_ms",
    "retry_count",
    "error_message",
    "compensation_ticket_id",
    "metadata",
    "predictions",
    "schema_version",
];

#[test]
fn tickets_have_the_thirty_keys_first_nulls_and_integer_times() {
    let finished = Hive::run(&example("compensates.json")).json().finish().exits_with(1);
    let TicketKeys { tickets } = serde_json::from_str(&finished.out).unwrap();
    assert!(tickets.len() >= 5);
    for ticket in &tickets {
        let keys = ticket.keys();
        assert_eq!(keys.get(..KEYS.len()), Some(&KEYS[..]), "{keys:?}");
    }
    for ticket in finished.json()["tickets"].as_array().into_iter().flatten() {
        for key in ["created_at", "started_at", "completed_at"] {
            assert!(
                ticket[key].is_i64() || (ticket[key].is_null() && key != "created_at"),
                "{key}: {ticket}"
            );
        }
        assert!(ticket["sla"]["deadline"].is_i64() && ticket["predictions"].is_null(), "{ticket}");
    }
}

#[test]
fn the_result_has_every_part_of_the_consolidation() {
    let result = Hive::run(&example("ledger.json")).json().finish().exits_with(0).json();
    for key in [
        "workflow_id",
        "plan_id",
        "intent_id",
        "status",
        "metrics",
        "consistent",
        "errors",
        "tickets_summary",
        "sla_status",
        "sla_remaining_seconds",
        "budget_status",
        "consolidated_at",
        "tickets",
    ] {
        assert!(!result[key].is_null(), "{key} is absent: {result}");
    }
    let metrics: Vec<&String> = result["metrics"].as_object().unwrap().keys().collect();
    let expected = [
        "compensated",
        "failed",
        "sla_violations",
        "successful",
        "total_duration_ms",
        "total_retries",
        "total_tickets",
    ];
    assert_eq!(metrics, expected);
}

#[test]
fn json_is_alone_on_stdout_and_short_of_nothing() {
    let folder = temporary();
    let plan = plan::write(folder.path(), "plan.json", plan::single("alone", "One task", 0).to_string());
    let finished = Hive::run(&plan).json().finish().exits_with(0);
    assert!(finished.out.ends_with('\n'), "a document ends with a line break");
    assert_eq!(finished.json()["workflow_id"], "orch-alone");
}

#[test]
fn a_table_shows_each_ticket() {
    let finished = Hive::run(&example("compensates.json")).finish().exits_with(1);
    for task in
        ["build-payments-image", "deploy-canary", "probe-canary", "deploy-everywhere", "announce-release"]
    {
        assert!(finished.out.contains(task), "{task} is missing in:\n{}", finished.out);
    }
    for status in ["COMPENSATED", "CANCELLED"] {
        assert!(finished.out.contains(status), "{status} is missing in:\n{}", finished.out);
    }
    assert!(!finished.out.contains('\u{1b}'), "no terminal, no colours");
}

#[test]
fn a_reader_that_left_is_no_reason_to_panic() {
    for json in [true, false] {
        let hive = Hive::run(&example("ledger.json"));
        let hive = if json { hive.json() } else { hive };
        let finished = hive.start_without_reader().finish();
        assert!(!finished.err.contains("panicked"), "{}", finished.err);
        assert!(matches!(finished.status.code(), Some(0 | 1)), "{:?}: {}", finished.status, finished.err);
    }
}

#[test]
fn a_plan_may_come_from_stdin() {
    let finished = Hive::new(["run", "-"]).stdin(&example("ledger.json")).json().finish().exits_with(0);
    assert_eq!(finished.json()["status"], "SUCCESS");
}
