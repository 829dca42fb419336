//! Validation, seen from outside: every code by an example, every shape of message, and random plans.

mod codes;
mod random;
mod shapes;
mod values;

use super::*;
use crate::json::object;
use crate::orchestration::finding::Finding;

/// 2023-11-14T22:13:20Z.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn text(text: &str) -> Json {
    Json::from(text)
}

fn list<const N: usize>(items: [&str; N]) -> Json {
    Json::List(items.map(text).to_vec())
}

fn task(id: &str, dependencies: &[&str]) -> Json {
    object([
        ("task_id", text(id)),
        ("task_type", text("query")),
        ("description", text("reads what the report needs")),
        ("dependencies", Json::List(dependencies.iter().copied().map(text).collect())),
        ("estimated_duration_ms", Json::Int(500)),
        ("required_capabilities", list(["read"])),
        ("parameters", object([("subject", text("sales")), ("limit", Json::Int(3))])),
        ("metadata", object([("domain", text("TECHNICAL"))])),
    ])
}

/// A plan with every field of the schema, whose order is the order of its tasks.
fn plan_of(tasks: Vec<Json>) -> Json {
    let order = tasks.iter().filter_map(|task| task.get("task_id").cloned()).collect();
    object([
        ("plan_id", text("plan-1")),
        ("intent_id", text("intent-1")),
        ("version", text("1.0.0")),
        ("correlation_id", text("corr-1")),
        ("trace_id", Json::Null),
        ("span_id", Json::Null),
        ("tasks", Json::List(tasks)),
        ("execution_order", Json::List(order)),
        ("risk_score", Json::Float(0.3)),
        ("risk_band", text("low")),
        ("risk_factors", object([("complexity", Json::Float(0.2)), ("destructive", Json::Int(0))])),
        ("explainability_token", text("token")),
        ("reasoning_summary", text("three tasks")),
        ("status", text("validated")),
        ("created_at", text("2023-11-14T22:00:00.250000Z")),
        ("valid_until", Json::from(NOW.millis() + 1)),
        ("estimated_total_duration_ms", Json::Int(1_500)),
        ("complexity_score", Json::Float(0.1)),
        ("original_domain", text("TECHNICAL")),
        ("original_priority", text("normal")),
        ("original_security_level", text("internal")),
        ("metadata", object([("generator_version", text("1.0.0"))])),
        ("requires_approval", Json::Bool(false)),
        ("approval_status", Json::Null),
        ("approved_by", Json::Null),
        ("approved_at", Json::Null),
        ("is_destructive", Json::Bool(false)),
        ("destructive_tasks", list([])),
        ("risk_matrix", Json::Null),
        ("schema_version", Json::Int(1)),
    ])
}

/// `a`, then `b` and `c` after it.
fn plan() -> Json {
    plan_of(vec![task("a", &[]), task("b", &["a"]), task("c", &["a"])])
}

/// A decision with every field of the schema.
fn decision(word: &str, plan: Json) -> Json {
    object([
        ("decision_id", text("decision-1")),
        ("plan_id", text("plan-1")),
        ("intent_id", text("intent-1")),
        ("correlation_id", Json::Null),
        ("trace_id", text("trace-1")),
        ("span_id", Json::Null),
        ("final_decision", text(word)),
        ("consensus_method", text("majority_voting")),
        ("aggregated_confidence", Json::Float(0.8)),
        ("aggregated_risk", Json::Float(0.2)),
        ("specialist_votes", Json::List(Vec::new())),
        ("consensus_metrics", object([("unanimous", Json::Bool(true))])),
        ("explainability_token", text("token")),
        ("reasoning_summary", text("all agree")),
        ("compliance_checks", object([("risk_acceptable", Json::Bool(true))])),
        ("guardrails_triggered", list(["confidence below the minimum"])),
        ("cognitive_plan", plan),
        ("requires_human_review", Json::Bool(false)),
        ("created_at", Json::from(NOW.millis() - 10)),
        ("valid_until", Json::Null),
        ("metadata", object([("num_specialists", Json::Int(5))])),
        ("hash", text("00")),
        ("schema_version", Json::Int(1)),
    ])
}

/// The JSON at a path of the notation that findings use; the last member is created if absent.
fn at<'j>(json: &'j mut Json, path: &str) -> &'j mut Json {
    path.split(['.', '[']).fold(json, |json, step| match (json, step.strip_suffix(']')) {
        (Json::List(items), Some(index)) => &mut items[index.parse::<usize>().unwrap()],
        (Json::Object(members), None) => members.entry(step.to_owned()).or_insert(Json::Null),
        (other, _) => panic!("no {step} in {}", other.type_name()),
    })
}

/// `json` with the value at `path` replaced.
fn with(mut json: Json, path: &str, value: Json) -> Json {
    *at(&mut json, path) = value;
    json
}

/// `json` without the member at `path`.
fn without(mut json: Json, path: &str) -> Json {
    let (object, key) = path.rsplit_once('.').unwrap_or(("", path));
    let members = if object.is_empty() { &mut json } else { at(&mut json, object) };
    if let Json::Object(members) = members {
        members.remove(key).unwrap();
    }
    json
}

fn open(body: Json) -> Message {
    Message::open(body, &Limits::default(), |_| Err("it is not".to_owned())).unwrap()
}

fn judge(body: Json) -> Report {
    validate(&open(body), None, &Limits::default(), NOW)
}

fn approved(body: Json) -> ApprovedPlan {
    let report = judge(body);
    let Verdict::Run(approved) = report.verdict else {
        panic!("{:?}: {:?}", report.verdict, report.findings);
    };
    *approved
}

fn errors(body: Json) -> Vec<String> {
    let report = judge(body);
    assert_eq!(report.verdict == Verdict::Invalid, !report.findings.is_clean());
    report.findings.errors.iter().map(Finding::to_string).collect()
}

fn warnings(body: Json) -> Vec<String> {
    let report = judge(body);
    assert!(matches!(report.verdict, Verdict::Run(_)), "{:?}", report.findings);
    report.findings.warnings.iter().map(Finding::to_string).collect()
}
