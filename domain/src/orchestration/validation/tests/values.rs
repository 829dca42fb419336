//! Single fields: which notations are accepted, what they become, and how plans are written back.

use super::*;
use crate::tickets::public::{Priority, SecurityLevel, TaskType};

#[test]
fn a_plan_becomes_typed_values() {
    let plan = approved(plan()).plan;
    assert_eq!(plan.created_at, Some(Timestamp::from_millis(1_699_999_200_250)));
    assert_eq!(plan.valid_until, Some(NOW.plus_ms(1)));
    assert_eq!((plan.priority, plan.security_level), (Some(Priority::Normal), SecurityLevel::Internal));
    assert_eq!(plan.metadata["generator_version"], "1.0.0");
    let task = &plan.tasks[1];
    assert_eq!((task.task_type, task.original_type.as_str()), (TaskType::Query, "query"));
    assert_eq!(task.estimated_duration_ms, Some(500));
    assert_eq!(task.required_capabilities, ["read"]);
    assert_eq!(task.parameters["limit"], Json::Int(3), "kept as it came");
    assert_eq!(plan.dependencies(1).map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(plan.graph.dependents(0), [1, 2]);
}

#[test]
fn the_order_of_the_plan_is_kept_when_it_holds_and_mended_when_not() {
    let order = |wanted: Json| {
        let plan = approved(with(plan(), "execution_order", wanted)).plan;
        plan.in_order().map(|(_, task)| task.task_id.to_string()).collect::<String>()
    };
    assert_eq!(order(list(["a", "c", "b"])), "acb");
    assert_eq!(order(list(["c", "b", "a"])), "acb");
}

#[test]
fn numbers_and_times_have_several_notations() {
    for time in [Json::Int(1_800_000_000_000), Json::Float(1.8e12), text("2027-01-15T08:00:00")] {
        let plan = approved(with(plan(), "valid_until", time)).plan;
        assert_eq!(plan.valid_until, Some(Timestamp::from_millis(1_800_000_000_000)));
    }
    let estimated = |ms| with(plan(), "tasks[0].estimated_duration_ms", ms);
    assert_eq!(approved(estimated(Json::Float(700.0))).plan.tasks[0].estimated_duration_ms, Some(700));
    assert_eq!(approved(estimated(Json::Null)).plan.tasks[0].estimated_duration_ms, None);
    approved(with(plan(), "risk_score", Json::Int(1)));
    approved(with(plan(), "valid_until", Json::from(NOW.millis())));
}

#[test]
fn wrong_values_are_named_with_their_path() {
    for (path, value, expected) in [
        ("risk_score", text("0.3"), "must be a number, is text"),
        ("risk_score", Json::Float(1.01), "must be from 0 to 1, is 1.01"),
        ("risk_score", Json::Float(f64::NAN), "must be a finite number"),
        ("risk_band", text("HIGH"), "must be one of low, medium, high, critical, is `HIGH`"),
        ("tasks", object([]), "must be an array, is an object"),
        ("tasks[1]", text("b"), "must be an object, is text"),
        ("tasks[0].estimated_duration_ms", Json::Int(-1), "must be at least 0"),
        ("tasks[0].estimated_duration_ms", Json::Float(0.5), "must be a whole number of at most 64 bits"),
        ("tasks[0].estimated_duration_ms", Json::Int(i128::MAX), "must be a whole number of at most 64 bits"),
        ("tasks[0].required_capabilities[0]", Json::Int(1), "must be text, is an integer"),
        ("tasks[0].parameters", list([]), "must be an object, is an array"),
        ("tasks[0].description", text("a\0b"), "must be text without NUL characters"),
        ("execution_order", Json::Null, "must be an array of text, is null"),
        ("created_at", text("yesterday"), "must be a time in milliseconds or ISO 8601"),
        ("created_at", Json::Bool(true), "must be a time, is a boolean"),
        ("original_domain", text("x"), &format!("must be one of {DOMAINS}, is `x`")),
        ("status", text("done"), "must be one of draft, validated, approved, rejected, is `done`"),
        ("requires_approval", text("no"), "must be a boolean, is text"),
        ("risk_factors.priority", text("high"), "must be a number, is text"),
        ("original_priority", list([]), "must be text or an integer, is an array"),
        ("schema_version", text("1"), "must be an integer, is text"),
    ] {
        let found = errors(with(plan(), path, value));
        assert!(found.contains(&format!("SCHEMA_INVALID at {path}: {expected}")), "{path}: {found:?}");
    }
}

const DOMAINS: &str = "BUSINESS, TECHNICAL, SECURITY, INFRASTRUCTURE, BEHAVIOR, OPERATIONAL, COMPLIANCE";

#[test]
fn wrong_values_of_a_decision_are_named_with_their_path() {
    for (path, value, expected) in [
        (
            "final_decision",
            text("APPROVE"),
            "must be one of approve, approved, conditional, reject, rejected, review_required, is `APPROVE`",
        ),
        ("aggregated_risk", Json::Int(2), "must be from 0 to 1, is 2"),
        ("specialist_votes", text("none"), "must be an array or an object, is text"),
        ("compliance_checks.x", text("yes"), "must be a boolean, is text"),
        ("metadata", list([]), "must be an object, is an array"),
        ("cognitive_plan.tasks[0].task_id", Json::Int(0), "must be text, is an integer"),
    ] {
        let found = errors(with(decision("approve", plan()), path, value));
        assert!(found.contains(&format!("SCHEMA_INVALID at {path}: {expected}")), "{path}: {found:?}");
    }
    // Votes by name and words beyond the schema travel on the platform.
    approved(with(decision("approve", plan()), "specialist_votes", object([("technical", text("approve"))])));
}

#[test]
fn ids_keep_to_what_tickets_store() {
    for (path, width) in
        [("plan_id", 36), ("intent_id", 36), ("correlation_id", 36), ("trace_id", 64), ("span_id", 32)]
    {
        approved(with(plan(), path, text(&"é".repeat(width))));
        let found = errors(with(plan(), path, text(&"x".repeat(width + 1))));
        assert!(
            found[0].starts_with(&format!("INVALID_ID at {path}: must have at most {width}")),
            "{found:?}"
        );
    }
    assert_eq!(approved(with(plan(), "trace_id", text(""))).plan.trace_id, None);
    let named = |id: &str| plan_of(vec![task(id, &[])]);
    approved(named(&"x".repeat(255)));
    for id in ["", "a\nb", &"x".repeat(256)] {
        assert!(errors(named(id))[0].starts_with("INVALID_ID at tasks[0].task_id: "));
    }
}

#[test]
fn long_texts_are_refused_wherever_they_are() {
    let long = "x".repeat(65_537);
    for path in [
        "version",
        "metadata.note",
        "reasoning_summary",
        "tasks[0].task_type",
        "tasks[0].description",
        "tasks[0].parameters.query",
        "tasks[0].metadata.note",
    ] {
        approved(with(plan(), path, text(&long[1..])));
        let found = errors(with(plan(), path, text(&long)));
        assert_eq!(found, [format!("FIELD_TOO_LONG at {path}: has 65537 bytes, at most 65536 are accepted")]);
    }
    let found = errors(with(plan(), "tasks[0].parameters", object([(&long, Json::Null)])));
    assert!(found[0].starts_with("FIELD_TOO_LONG at tasks[0].parameters: "));
}

#[test]
fn priorities_and_security_levels_are_read_leniently() {
    for (value, expected) in [
        (text("HIGH"), Some(Priority::High)),
        (text("medium"), Some(Priority::Normal)),
        (text("Critical"), Some(Priority::Critical)),
        (Json::Int(1), Some(Priority::Low)),
        (Json::Int(5), Some(Priority::Normal)),
        (text("7"), Some(Priority::High)),
        (Json::Float(9.0), Some(Priority::Critical)),
        (text("urgent"), None),
    ] {
        assert_eq!(approved(with(plan(), "original_priority", value)).plan.priority, expected);
    }
    assert_eq!(
        warnings(with(plan(), "original_priority", text("urgent"))),
        ["DEFAULT_APPLIED at original_priority: `urgent` is no priority; the risk band alone decides"]
    );
    let secret = with(plan(), "original_security_level", text("Confidential"));
    assert_eq!(approved(secret).plan.security_level, SecurityLevel::Confidential);
    assert_eq!(
        warnings(with(plan(), "original_security_level", text("secret"))),
        ["DEFAULT_APPLIED at original_security_level: `secret` is no security level, taken as INTERNAL"]
    );
}

#[test]
fn defaults_are_named_once_for_all_tasks() {
    let body =
        without(without(without(plan(), "tasks[0].metadata"), "tasks[2].metadata"), "tasks[1].parameters");
    assert_eq!(
        warnings(body),
        [
            "DEFAULT_APPLIED at tasks: absent, taken as default: metadata = {} (2 of 3), parameters = {} (1 of 3)"
        ]
    );
}

#[test]
fn a_stored_plan_reads_back_as_it_was() {
    let body = with(decision("conditional", plan()), "cognitive_plan.execution_order", list(["c", "b", "a"]));
    let approved = approved(body);
    let restored = ApprovedPlan::restore(approved.to_json()).unwrap();
    assert_eq!(restored, approved);
    assert_eq!(restored.plan.content_hash(), approved.plan.content_hash());
    // What was judged when it started is not judged again.
    let late = with(approved.to_json(), "cognitive_plan.valid_until", Json::Int(0));
    let late = with(late, "cognitive_plan.tasks[0].estimated_duration_ms", Json::Int(i128::from(i64::MAX)));
    assert!(ApprovedPlan::restore(late).is_ok());
    assert!(ApprovedPlan::restore(Json::Null).is_err());
}

#[test]
fn the_content_hash_sees_what_the_plan_asks_for_and_nothing_else() {
    let hash = |body: Json| approved(body).plan.content_hash();
    let same = [
        with(plan(), "created_at", Json::Int(1_699_999_200_250)),
        with(plan(), "note", text("an unknown key")),
        with(plan(), "trace_id", text("another request")),
        with(plan(), "original_priority", text("NORMAL")),
        with(plan(), "tasks[1].dependencies", list(["a", "a"])),
        decision("approved", plan()),
    ];
    for body in same {
        assert_eq!(hash(body), hash(plan()));
    }
    for (path, value) in [
        ("tasks[0].description", text("other")),
        ("tasks[0].task_type", text("QUERY")),
        ("tasks[2].dependencies", list([])),
        ("tasks[0].parameters.limit", Json::Int(4)),
        ("risk_band", text("medium")),
        ("execution_order", list(["a", "c", "b"])),
    ] {
        assert_ne!(hash(with(plan(), path, value)), hash(plan()), "{path}");
    }
    let plan = approved(plan()).plan;
    assert_eq!(plan.check_conflict(&plan.content_hash()), Ok(()));
}
