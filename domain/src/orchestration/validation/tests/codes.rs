//! One example message for every code.

use std::collections::BTreeSet;

use super::*;

/// The only finding that `body` causes.
fn only(body: Json) -> Finding {
    let Findings { errors, warnings, .. } = judge(body).findings;
    let [finding] = <[Finding; 1]>::try_from([errors, warnings].concat()).unwrap();
    finding
}

/// A code by a message that causes nothing else, and what it says.
type Example = (Finding, &'static str);

fn about_fields() -> Vec<Example> {
    let long = "x".repeat(65_537);
    vec![
        (
            only(with(plan(), "tasks[1].dependencies", text("a"))),
            "SCHEMA_INVALID at tasks[1].dependencies: must be an array of text, is text",
        ),
        (
            only(without(plan(), "tasks[2].description")),
            "MISSING_FIELD at tasks[2].description: required, but absent",
        ),
        (
            only(with(plan(), "schema_version", Json::Int(2))),
            "UNSUPPORTED_SCHEMA_VERSION at schema_version: version 2 is not supported, only 1 is",
        ),
        (
            only(with(plan(), "valid_until", text("2023-11-14T22:13:19.999"))),
            "PLAN_EXPIRED at valid_until: valid until 2023-11-14T22:13:19.999Z, now it is 2023-11-14T22:13:20.000Z",
        ),
        (
            only(with(plan(), "tasks[0].parameters.deep", Json::List(vec![text(&long)]))),
            "FIELD_TOO_LONG at tasks[0].parameters.deep: has 65537 bytes, at most 65536 are accepted",
        ),
        (
            only(with(plan(), "intent_id", text(&long))),
            "INVALID_ID at intent_id: must have at most 36 characters, has 65537",
        ),
        (
            only(without(plan(), "original_priority")),
            "DEFAULT_APPLIED at $: absent, taken as default: original_priority = null",
        ),
    ]
}

fn about_tasks() -> Vec<Example> {
    vec![
        (only(plan_of(Vec::new())), "EMPTY_PLAN at tasks: the plan has no tasks"),
        (
            only(with(plan_of(vec![task("a", &[]), task("a", &[])]), "execution_order", list(["a"]))),
            "DUPLICATE_TASK_ID at tasks[1].task_id: `a` is already the id of tasks[0]",
        ),
        (
            only(with(plan(), "execution_order", list(["a", "b", "c", "d"]))),
            "UNKNOWN_TASK_IN_ORDER at execution_order[3]: there is no task `d`",
        ),
        (
            only(with(plan(), "execution_order", list(["a", "b"]))),
            "TASK_NOT_IN_ORDER at tasks[2].task_id: `c` is missing from execution_order",
        ),
        (
            only(with(plan(), "execution_order", list(["a", "b", "a", "c"]))),
            "DUPLICATE_IN_ORDER at execution_order[2]: `a` is already at execution_order[0]",
        ),
        (
            only(plan_of(vec![task("a", &[]), task("b", &["a", "z"])])),
            "UNKNOWN_DEPENDENCY at tasks[1].dependencies[1]: there is no task `z`",
        ),
        (
            only(plan_of(vec![task("a", &["a"])])),
            "SELF_DEPENDENCY at tasks[0].dependencies[0]: `a` depends on itself",
        ),
        (
            only(plan_of(vec![task("a", &[]), task("b", &["d", "a"]), task("c", &["b"]), task("d", &["c"])])),
            "CYCLE at tasks[1].dependencies: b -> d -> c -> b (each depends on the next)",
        ),
        (
            only(with(plan(), "execution_order", list(["b", "a", "c"]))),
            "ORDER_NOT_TOPOLOGICAL at execution_order: puts a task before one it depends on; an order that holds is used instead",
        ),
        (
            only(with(plan(), "tasks[1].estimated_duration_ms", Json::Int(600_001))),
            "POLICY_VIOLATION at tasks[1].estimated_duration_ms: task `b` is estimated at 600001 ms; band low allows 600000 ms, its timeout ceiling of 900000 ms ÷ 1.5",
        ),
        (
            only(with(plan(), "tasks", Json::List(vec![Json::Null; 10_001]))),
            "TOO_MANY_TASKS at tasks: the plan has 10001 tasks, at most 10000 are accepted",
        ),
    ]
}

fn about_the_whole() -> Vec<Example> {
    let limits = Limits::default();
    let refused = |refusal: Result<(), Finding>| refusal.unwrap_err();
    vec![
        (
            refused(limits.check_json_text(&[b'['; 65], "$")),
            "NESTING_TOO_DEEP at $: nested more than 64 levels deep",
        ),
        (
            refused(limits.check_size(16_777_217)),
            "MESSAGE_TOO_LARGE at $: the message has 16777217 bytes, at most 16777216 are accepted",
        ),
        (
            only(with(decision("approve", plan()), "plan_id", text("plan-2"))),
            "PLAN_MISMATCH at plan_id: the decision is about plan plan-2, the plan is `plan-1`",
        ),
        (
            only(decision("approve", Json::Null)),
            "PLAN_NOT_FOUND at cognitive_plan: the decision carries no plan, and the ledger holds none",
        ),
        (
            refused(approved(plan()).plan.check_conflict("00")),
            "PLAN_CONFLICT at plan_id: a plan plan-1 with other content has already run",
        ),
    ]
}

#[test]
fn every_code_has_an_example() {
    let mut seen = BTreeSet::new();
    for (finding, expected) in [about_fields(), about_tasks(), about_the_whole()].concat() {
        assert_eq!(finding.to_string(), expected);
        seen.insert(finding.code);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Code::ALL);
}

/// INV-8
#[test]
fn everything_wrong_is_said_at_once_in_the_order_of_the_rules() {
    let mut broken =
        plan_of(vec![task("a", &["b"]), task("b", &["a"]), task("c", &["x", "c"]), task("c", &[])]);
    broken = with(broken, "risk_band", text("huge"));
    broken = with(broken, "tasks[3].estimated_duration_ms", text("soon"));
    broken = with(without(broken, "intent_id"), "valid_until", Json::Int(0));
    let broken = with(decision("sure", broken), "valid_until", Json::Int(1));
    let codes: Vec<_> = judge(broken).findings.errors.into_iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [
            Code::SchemaInvalid,
            Code::SchemaInvalid,
            Code::SchemaInvalid,
            Code::MissingField,
            Code::PlanExpired,
            Code::PlanExpired,
            Code::DuplicateTaskId,
            Code::DuplicateInOrder,
            Code::UnknownDependency,
            Code::SelfDependency,
            Code::Cycle,
        ]
    );
}

#[test]
fn a_hostile_number_of_errors_is_counted_not_kept() {
    let tasks = (0..9_000).map(|index| task(&format!("t{index}"), &["x", "y"])).collect();
    let found = errors(plan_of(tasks));
    assert_eq!(found.len(), Findings::MAX + 1);
    assert_eq!(found[Findings::MAX], "UNKNOWN_DEPENDENCY at $: and 17000 more like these");
}

#[test]
fn a_long_cycle_is_shortened() {
    let names: Vec<String> = (0..5_000).map(|index| format!("t{index}")).collect();
    let before = |index: usize| names[(index + names.len() - 1) % names.len()].as_str();
    let tasks = names.iter().enumerate().map(|(index, name)| task(name, &[before(index)])).collect();
    let found = errors(plan_of(tasks));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("CYCLE at tasks[0].dependencies: t0 -> t4999 -> t4998 -> "), "{}", found[0]);
    assert!(found[0].ends_with("-> (4968 more) -> t0 (each depends on the next)"), "{}", found[0]);
}

#[test]
fn the_longest_estimate_of_each_band_is_accepted_and_one_more_is_not() {
    for (band, longest) in
        [("low", 600_000), ("medium", 1_200_000), ("high", 2_400_000), ("critical", 4_800_000)]
    {
        let plan = with(plan(), "risk_band", text(band));
        let estimated = |ms| with(plan.clone(), "tasks[0].estimated_duration_ms", Json::Int(ms));
        assert!(errors(estimated(longest)).is_empty());
        assert!(errors(estimated(longest + 1))[0].starts_with("POLICY_VIOLATION"));
    }
}
