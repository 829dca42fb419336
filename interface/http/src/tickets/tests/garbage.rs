//! Whatever is sent, the answer is typed.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{create, draft};
use crate::testing::{ask, segment, ticket_app};

/// Every route with an id in its path.
const ROUTES: [(&str, &str, &str); 8] = [
    ("GET", "/api/v1/tickets/", ""),
    ("PATCH", "/api/v1/tickets/", ""),
    ("PATCH", "/api/v1/tickets/", "/status"),
    ("POST", "/api/v1/tickets/", "/retry"),
    ("GET", "/api/v1/tickets/", "/token"),
    ("POST", "/api/v1/tickets/", "/token"),
    ("GET", "/api/v1/tickets/", "/history"),
    ("GET", "/api/v1/tickets/", "/dependencies/"),
];

fn id() -> impl Strategy<Value = String> {
    const NASTY: [&str; 7] =
        ["'; DROP TABLE execution_tickets; --", "../../etc/passwd", "\u{0}", " ", "%", "é\u{301}", "🦀"];
    prop_oneof![
        any::<String>(),
        "[a-z0-9-]{1,300}",
        proptest::sample::select(&NASTY[..]).prop_map(str::to_owned)
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn typed(status: u16, body: &Value) {
    assert!([400, 404].contains(&status), "{status}: {body}");
    assert!(body["code"].is_string() && body["detail"].is_string(), "{body}");
    let text = body.to_string().to_lowercase();
    assert!(!text.contains("sqlite") && !text.contains("select "), "{body}");
}

#[test]
fn any_id_is_a_typed_refusal() {
    let runtime = Runtime::new().unwrap();
    let (app, _folder) = runtime.block_on(ticket_app());
    proptest!(ProptestConfig::with_cases(64), |(id in id())| {
        runtime.block_on(async {
            for (method, before, after) in ROUTES {
                let path = format!("{before}{}{after}", segment(&id));
                if id.is_empty() || path.trim_end_matches('/').ends_with("/tickets") {
                    continue;
                }
                let (status, body) = ask(&app, method, &path, Some(&json!({"status": "RUNNING"}))).await;
                typed(status, &body);
            }
        });
    });
}

#[test]
fn any_value_of_any_field_is_stored_or_refused() {
    const FIELDS: [&str; 30] = [
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
    let runtime = Runtime::new().unwrap();
    let (app, _folder) = runtime.block_on(ticket_app());
    proptest!(ProptestConfig::with_cases(256), |(field in proptest::sample::select(&FIELDS[..]), value in value())| {
        runtime.block_on(async {
            let mut draft = draft("");
            draft[field] = value;
            let (status, body) = ask(&app, "POST", "/api/v1/tickets", Some(&draft)).await;
            match status {
                201 | 200 => {
                    let id = segment(body["ticket_id"].as_str().unwrap());
                    let (status, read) = ask(&app, "GET", &format!("/api/v1/tickets/{id}"), None).await;
                    assert_eq!((status, &read), (200, &body));
                }
                _ => typed(status, &body),
            }
        });
    });
}

#[test]
fn any_change_is_applied_or_refused() {
    const FIELDS: [&str; 8] = [
        "error_message",
        "actual_duration_ms",
        "agent_id",
        "epoch",
        "retryable",
        "assigned_worker",
        "metadata",
        "status",
    ];
    let runtime = Runtime::new().unwrap();
    let (app, _folder) = runtime.block_on(ticket_app());
    runtime.block_on(create(&app, &draft("tk-1")));
    proptest!(ProptestConfig::with_cases(256), |(field in proptest::sample::select(&FIELDS[..]), value in value())| {
        runtime.block_on(async {
            let mut body = json!({"status": "PENDING"});
            body[field] = value;
            let (status, answer) = ask(&app, "PATCH", "/api/v1/tickets/tk-1/status", Some(&body)).await;
            if status != 200 && status != 409 {
                typed(status, &answer);
            }
        });
    });
}
