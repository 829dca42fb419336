//! From the domain to the wire.

use hive_domain::ids::{PlanId, WorkflowId};
use hive_domain::json::Json;
use hive_domain::orchestration::finding::{Finding, Findings};
use hive_http::json_value;
use hive_proto::result::{ConsolidationJson, FindingJson, NotRunJson, RefusalJson};

/// A result as the journal keeps it.
pub(crate) fn consolidation(outcome: &Json) -> Result<ConsolidationJson, serde_json::Error> {
    serde_json::from_value(json_value(outcome))
}

/// A plan that does not run, for the reason in `status`.
pub(crate) fn not_run(plan_id: &PlanId, status: NotRun) -> NotRunJson {
    NotRunJson {
        plan_id: plan_id.to_string(),
        workflow_id: WorkflowId::for_plan(plan_id).to_string(),
        status: status.as_str().to_owned(),
        tickets: Vec::new(),
    }
}

/// Why a valid plan does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRun {
    Rejected,
    AwaitingApproval,
}

impl NotRun {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            NotRun::Rejected => "REJECTED",
            NotRun::AwaitingApproval => "AWAITING_APPROVAL",
        }
    }
}

/// Everything found in a message that was refused.
pub(crate) fn refusal(findings: &Findings) -> RefusalJson {
    let list = |findings: &[Finding]| findings.iter().map(finding).collect();
    RefusalJson { errors: list(&findings.errors), warnings: list(&findings.warnings) }
}

fn finding(finding: &Finding) -> FindingJson {
    FindingJson {
        code: finding.code.as_str().to_owned(),
        path: finding.path.clone(),
        message: finding.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use hive_domain::json::object;
    use hive_domain::orchestration::finding::Code;
    use hive_http::json_value as value;
    use serde_json::Value;

    use super::*;
    use crate::output::testing::finished;

    #[test]
    fn a_ticket_says_the_same_as_its_own_json() {
        let ticket = finished("fetch", 25);
        let mut wire = serde_json::to_value(hive_http::ticket_json(&ticket)).unwrap();
        let ours =
            ["assigned_worker", "agent_id", "epoch", "dispatched_at", "retryable", "allocation", "version"];
        let kept: Vec<Value> =
            ours.iter().map(|key| wire.as_object_mut().unwrap().remove(*key).unwrap()).collect();
        assert_eq!(wire, value(&ticket.to_json()));
        assert_eq!(kept[0], Value::from("agent-1"));
        assert_eq!(kept[2], Value::from(1));
        assert_eq!(kept[5]["agent_score"], Value::from(0.5));
    }

    #[test]
    fn values_keep_their_kind() {
        let json = object([
            ("a", Json::Int(u64::MAX.into())),
            ("b", 1.0.into()),
            ("c", Json::List(vec![Json::Null, true.into(), "x".into()])),
        ]);
        assert_eq!(value(&json).to_string(), r#"{"a":18446744073709551615,"b":1.0,"c":[null,true,"x"]}"#);
    }

    #[test]
    fn refusals_keep_order_and_kind() {
        let mut findings = Findings::default();
        findings.error(Code::Cycle, "tasks", "round and round");
        findings.warning(Code::DefaultApplied, "version", "is 1");
        let refusal = refusal(&findings);
        assert_eq!((refusal.errors[0].code.as_str(), refusal.errors[0].path.as_str()), ("CYCLE", "tasks"));
        assert_eq!(refusal.warnings[0].message, "is 1");
    }
}
