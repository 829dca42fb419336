//! Every shape a plan arrives in, and what decides whether it runs.

use super::*;

fn subject(body: Json) -> (&'static str, Subject) {
    match judge(body).verdict {
        Verdict::Rejected(subject) => ("rejected", subject),
        Verdict::AwaitingApproval(subject) => ("awaiting", subject),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_complete_plan_passes_without_a_word() {
    assert_eq!(judge(plan()).findings, Findings::default());
    assert_eq!(judge(decision("approve", plan())).findings, Findings::default());
}

#[test]
fn a_plan_on_its_own_derives_its_decision() {
    let approved = approved(plan());
    assert_eq!(approved.decision.decision_id, DecisionId::for_direct_plan(&approved.plan.plan_id));
    assert_eq!(approved.decision.correlation_id.as_deref(), Some("corr-1"));
}

#[test]
fn a_decision_runs_by_either_word_and_lends_its_ids() {
    for word in ["approve", "approved"] {
        let approved = approved(decision(word, plan()));
        assert_eq!(approved.decision.decision_id.as_str(), "decision-1");
        assert_eq!(approved.decision.final_decision, FinalDecision::Approve);
        assert_eq!(approved.decision.trace_id.as_deref(), Some("trace-1"));
        assert_eq!(approved.decision.correlation_id.as_deref(), Some("corr-1"), "the plan's, as it has none");
        assert_eq!(approved.decision.metadata["num_specialists"], "5");
    }
}

#[test]
fn a_condition_is_kept() {
    let body = with(decision("conditional", plan()), "conditions", list(["at night"]));
    let metadata = approved(body).decision.metadata;
    assert_eq!(metadata["decision.final_decision"], "conditional");
    assert_eq!(metadata["decision.conditions"], "[\"at night\"]");
    assert_eq!(metadata["decision.compliance_checks"], "{\"risk_acceptable\":true}");
    assert_eq!(metadata["decision.guardrails_triggered"], "[\"confidence below the minimum\"]");
}

#[test]
fn decisions_that_run_nothing_need_no_plan() {
    let review = with(decision("approve", Json::Null), "requires_human_review", Json::Bool(true));
    let both = with(decision("reject", Json::Null), "requires_human_review", Json::Bool(true));
    for (body, expected) in [
        (decision("reject", Json::Null), "rejected"),
        (without(decision("rejected", Json::Null), "cognitive_plan"), "rejected"),
        (both, "rejected"),
        (decision("review_required", Json::Null), "awaiting"),
        (review, "awaiting"),
        // An expired or broken plan does not matter when it does not run.
        (decision("review_required", with(plan(), "valid_until", Json::Int(0))), "awaiting"),
        (decision("reject", text("{")), "rejected"),
    ] {
        let (verdict, subject) = subject(body);
        assert_eq!(verdict, expected);
        assert_eq!((subject.plan_id.as_str(), subject.decision_id.as_str()), ("plan-1", "decision-1"));
    }
    assert_eq!(
        errors(without(decision("reject", Json::Null), "plan_id")),
        ["MISSING_FIELD at plan_id: required, but absent"]
    );
}

#[test]
fn an_approval_by_hand_has_few_fields() {
    let by_hand = object([
        ("decision_id", text("manual-approval-1")),
        ("plan_id", text("plan-1")),
        ("final_decision", text("approved")),
        ("requires_human_review", Json::Bool(false)),
        ("approved_by", text("tester")),
        ("timestamp", text("2023-11-14T22:00:00Z")),
    ]);
    assert!(open(by_hand.clone()).lacks_plan());
    assert_eq!(
        errors(by_hand.clone()),
        ["PLAN_NOT_FOUND at cognitive_plan: the decision carries no plan, and the ledger holds none"]
    );
    let report = validate(&open(by_hand), Some(&plan()), &Limits::default(), NOW);
    assert!(matches!(report.verdict, Verdict::Run(_)), "{:?}", report.findings);
    assert_eq!(report.findings.warnings.len(), 1, "one warning names all defaults");
    assert!(report.findings.warnings[0].message.contains("consensus_method = null, "));
}

#[test]
fn an_embedded_text_is_read_as_the_object_is() {
    let body = decision("approve", text("the plan"));
    let message = Message::open(body.clone(), &Limits::default(), |_| Ok(plan())).unwrap();
    let from_text = validate(&message, None, &Limits::default(), NOW);
    assert_eq!(from_text, judge(decision("approve", plan())));
    assert_eq!(errors(body), ["SCHEMA_INVALID at cognitive_plan: the text `the plan` is no JSON: it is not"]);
    assert_eq!(
        errors(decision("approve", Json::Int(3))),
        ["SCHEMA_INVALID at cognitive_plan: must be an object or JSON text, is an integer"]
    );
}

#[test]
fn a_ledger_entry_lends_its_ids() {
    let entry = |plan_data: Json| {
        object([
            ("plan_id", text("plan-1")),
            ("intent_id", text("intent-1")),
            ("version", text("1.0.0")),
            ("plan_data", plan_data),
            ("hash", text("00")),
            ("timestamp", text("2023-11-14T22:00:00")),
            ("immutable", Json::Bool(true)),
        ])
    };
    let bare = without(without(plan(), "plan_id"), "intent_id");
    assert_eq!(approved(entry(bare.clone())), approved(plan()));
    assert_eq!(
        errors(entry(with(plan(), "plan_id", text("plan-2")))),
        ["PLAN_MISMATCH at plan_id: is `plan-1` here and `plan-2` in the plan inside"]
    );
    assert_eq!(
        errors(entry(with(bare.clone(), "tasks[1].task_id", Json::Null))),
        [
            "SCHEMA_INVALID at plan_data.tasks[1].task_id: must be text, is null",
            "UNKNOWN_TASK_IN_ORDER at plan_data.execution_order[1]: there is no task `b`",
        ]
    );
    // The same entry as the ledger's answer to a decision without a plan.
    let decision = open(decision("approve", Json::Null));
    let judged = |entry| validate(&decision, Some(&entry), &Limits::default(), NOW);
    assert!(matches!(judged(entry(bare.clone())).verdict, Verdict::Run(_)));
    let broken = judged(entry(without(bare, "risk_band"))).findings.errors;
    assert_eq!(broken[0].to_string(), "MISSING_FIELD at ledger.plan_data.risk_band: required, but absent");
}

#[test]
fn a_plan_nested_one_level_is_found() {
    let outer = |plan: Json| object([("plan_id", text("plan-1")), ("cognitive_plan", plan)]);
    assert_eq!(approved(outer(without(plan(), "plan_id"))), approved(plan()));
    assert_eq!(
        approved(decision("approve", outer(plan()))).plan,
        approved(plan()).plan,
        "the approval store nests the plan twice"
    );
}

#[test]
fn a_plan_on_its_own_may_not_be_approved() {
    let pending = with(plan(), "requires_approval", Json::Bool(true));
    for (body, expected) in [
        (with(plan(), "status", text("rejected")), "rejected"),
        (with(plan(), "approval_status", text("rejected")), "rejected"),
        (with(pending.clone(), "approval_status", text("pending")), "awaiting"),
        (pending.clone(), "awaiting"),
        (without(pending.clone(), "tasks"), "awaiting"),
    ] {
        let (verdict, subject) = subject(body);
        assert_eq!((verdict, subject.intent_id.unwrap().as_str()), (expected, "intent-1"));
        assert_eq!(subject.decision_id, DecisionId::for_direct_plan(&subject.plan_id));
    }
    approved(with(pending.clone(), "approval_status", text("approved")));
    // A decision has approved it.
    approved(decision("approve", pending));
}

#[test]
fn decision_and_plan_must_agree_on_the_plan_and_should_on_the_intent() {
    let body = with(decision("approve", plan()), "intent_id", text("intent-2"));
    assert_eq!(
        warnings(body.clone()),
        ["PLAN_MISMATCH at intent_id: the decision names intent intent-2, the plan `intent-1`, which counts"]
    );
    assert_eq!(approved(body).plan.intent_id.as_str(), "intent-1");
}

#[test]
fn what_is_no_message_is_refused_as_a_whole() {
    for body in [Json::Null, text("plan"), Json::List(vec![plan()]), object([("name", text("x"))])] {
        assert!(errors(body)[0].starts_with("SCHEMA_INVALID at $: "));
    }
    assert_eq!(errors(object([("plan_id", text("p"))])).len(), 5, "all that is missing from a plan");
    assert_eq!(errors(object([("final_decision", text("approve"))])).len(), 3);
}
