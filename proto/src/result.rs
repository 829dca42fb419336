//! What became of a plan, or why it does not run: what `run --output json` prints.

use serde::{Deserialize, Serialize};

use crate::ticket::TicketJson;

/// A plan that ran: its consolidated result and its tickets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunJson {
    /// The consolidated result.
    #[serde(flatten)]
    pub result: ConsolidationJson,
    /// The tickets: those made from tasks in plan order, then those that undid some of them.
    pub tickets: Vec<TicketJson>,
}

/// The consolidated result of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsolidationJson {
    /// The flow.
    pub workflow_id: String,
    /// The plan.
    pub plan_id: String,
    /// The intent it was made for.
    pub intent_id: String,
    /// SUCCESS, PARTIAL or FAILED.
    pub status: String,
    /// Numbers of the plan.
    pub metrics: MetricsJson,
    /// Whether the tickets agree with each other.
    pub consistent: bool,
    /// What does not fit together.
    pub errors: Vec<String>,
    /// Every ticket in short.
    pub tickets_summary: Vec<TicketSummaryJson>,
    /// The service level.
    pub sla_status: SlaStatusJson,
    /// Seconds left to the plan's deadline; negative when it passed.
    pub sla_remaining_seconds: f64,
    /// The error budget, UNKNOWN where nobody keeps one.
    pub budget_status: String,
    /// When, ISO 8601.
    pub consolidated_at: String,
    /// What was undone; absent when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation_results: Option<Vec<CompensationJson>>,
    /// How many undos there were; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation_triggered: Option<u64>,
}

/// Numbers of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsJson {
    /// All tickets.
    pub total_tickets: u64,
    /// Completed.
    pub successful: u64,
    /// Failed, cancelled or preempted.
    pub failed: u64,
    /// Undone.
    pub compensated: u64,
    /// Milliseconds from the first step to the end of the last ticket.
    pub total_duration_ms: i64,
    /// Tries beyond the first of each ticket.
    pub total_retries: i64,
    /// Tickets that broke their service level.
    pub sla_violations: u64,
}

/// One ticket in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSummaryJson {
    /// The ticket.
    pub ticket_id: String,
    /// Where it stands.
    pub status: String,
    /// Milliseconds its work took.
    pub duration: Option<i64>,
}

/// The service level of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaStatusJson {
    /// Whether the deadline is near or passed.
    pub deadline_approaching: bool,
    /// Whether the error budget is nearly used up.
    pub budget_critical: bool,
    /// Tickets that broke their service level.
    pub violations_count: u64,
}

/// One undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationJson {
    /// The ticket undone.
    pub original_ticket_id: String,
    /// The ticket that undid it.
    pub compensation_ticket_id: String,
    /// `triggered` or `failed`.
    pub status: String,
    /// What went wrong; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A plan that was decided not to run, or not yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotRunJson {
    /// The plan.
    pub plan_id: String,
    /// The flow it would have.
    pub workflow_id: String,
    /// REJECTED or AWAITING_APPROVAL.
    pub status: String,
    /// Always empty.
    pub tickets: Vec<TicketJson>,
}

/// A message that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalJson {
    /// Why, all reasons.
    pub errors: Vec<FindingJson>,
    /// What is odd besides.
    pub warnings: Vec<FindingJson>,
}

/// One thing found in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingJson {
    /// A stable word.
    pub code: String,
    /// The value it is about; `$` is the whole message.
    pub path: String,
    /// In words.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = r#"{"workflow_id":"orch-p","plan_id":"p","intent_id":"i","status":"SUCCESS",
        "metrics":{"total_tickets":1,"successful":1,"failed":0,"compensated":0,"total_duration_ms":5,
        "total_retries":0,"sla_violations":0},"consistent":true,"errors":[],
        "tickets_summary":[{"ticket_id":"t","status":"COMPLETED","duration":1}],
        "sla_status":{"deadline_approaching":false,"budget_critical":false,"violations_count":0},
        "sla_remaining_seconds":1.5,"budget_status":"UNKNOWN","consolidated_at":"2026-01-01T00:00:00.000Z"}"#;

    #[test]
    fn a_run_is_the_consolidation_and_the_tickets_in_one_object() {
        let result: ConsolidationJson = serde_json::from_str(STORED).unwrap();
        let json = serde_json::to_string(&RunJson { result: result.clone(), tickets: Vec::new() }).unwrap();
        assert!(
            json.starts_with(r#"{"workflow_id":"orch-p","plan_id":"p","intent_id":"i","status":"SUCCESS""#)
        );
        assert!(json.ends_with(r#","tickets":[]}"#), "{json}");
        assert!(!json.contains("compensation"), "{json}");
        assert_eq!(serde_json::from_str::<RunJson>(&json).unwrap().result, result);
    }

    #[test]
    fn a_refusal_always_has_both_lists() {
        let finding = FindingJson { code: "CYCLE".into(), path: "$".into(), message: "m".into() };
        let refusal = RefusalJson { errors: vec![finding], warnings: Vec::new() };
        assert_eq!(
            serde_json::to_string(&refusal).unwrap(),
            r#"{"errors":[{"code":"CYCLE","path":"$","message":"m"}],"warnings":[]}"#
        );
    }
}
