//! Creating tickets.

use axum::body::Body;
use futures_util::future::join_all;
use http::Request;
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use serde_json::{Value, json};

use super::{create, draft, draft_with};
use crate::testing::{ask, call, json as body_of, send, text, ticket_app};

const PATH: &str = "/api/v1/tickets";

#[tokio::test]
async fn a_new_ticket_is_answered_whole_and_in_order() {
    let (app, _folder) = ticket_app().await;
    let response = send(&app, "POST", PATH, Some(&draft("tk-1"))).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()[LOCATION], "/api/v1/tickets/tk-1");
    assert_eq!(response.headers()[ETAG], "\"1\"");
    let text = text(response).await;
    assert!(
        text.starts_with(r#"{"ticket_id":"tk-1","plan_id":"plan-xyz","intent_id":"intent-1","#),
        "{text}"
    );
    let ticket: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ticket.as_object().unwrap().len(), 37);
    assert_eq!(ticket["status"], "PENDING");
    assert_eq!(ticket["predictions"], Value::Null);
    assert_eq!(ticket["retry_count"], 0);
    assert!(ticket["created_at"].is_i64());
}

#[tokio::test]
async fn creating_again_is_idempotent_in_both_slash_forms() {
    let (app, _folder) = ticket_app().await;
    let first = create(&app, &draft("tk-1")).await;
    for path in ["/api/v1/tickets", "/api/v1/tickets/"] {
        let (status, again) = ask(&app, "POST", path, Some(&draft("tk-1"))).await;
        assert_eq!((status, &again), (200, &first));
    }
    let other = draft_with("tk-1", &json!({"description": "another"}));
    let (status, problem) = ask(&app, "POST", PATH, Some(&other)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("TICKET_EXISTS")));
    let (_, page) = ask(&app, "GET", PATH, None).await;
    assert_eq!(page["total"], 1);
}

#[tokio::test]
async fn the_lenient_forms_of_the_ticket_model_are_taken() {
    let (app, _folder) = ticket_app().await;
    let others = json!({
        "ticket_id": "", "priority": 9, "created_at": "1700000000123", "retry_count": 0, "started_at": null,
        "metadata": {"a": {"k": 1}, "n": null}, "predictions": {"x": [1, 2.5]}, "parameters": {"n": 1.5},
        "unheard_of": true, "estimated_duration_ms": 5.0,
    });
    let ticket = create(&app, &draft_with("", &others)).await;
    assert_eq!(ticket["priority"], "CRITICAL");
    assert_eq!(ticket["created_at"], 1_700_000_000_123_i64);
    assert_eq!(ticket["metadata"], json!({"a": "{\"k\": 1}", "n": ""}));
    assert_eq!(ticket["predictions"], json!({"x": [1, 2.5]}));
    assert_eq!(ticket["parameters"], json!({"n": 1.5}));
    assert_eq!(ticket["estimated_duration_ms"], 5);
    assert_eq!(ticket["ticket_id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (app, _folder) = ticket_app().await;
    for (others, field) in [
        (json!({"plan_id": null}), "plan_id"),
        (json!({"plan_id": 5}), "plan_id"),
        (json!({"ticket_id": "x".repeat(37)}), "ticket_id"),
        (json!({"task_type": "code_generation"}), "task_type"),
        (json!({"priority": 1.5}), "priority"),
        (json!({"sla": {"timeout_ms": 1, "max_retries": 0}}), "sla.deadline"),
        (json!({"sla": {"deadline": 1, "timeout_ms": 1.5, "max_retries": 0}}), "sla.timeout_ms"),
        (json!({"sla": []}), "sla"),
        (json!({"qos": {"delivery_mode": 1}}), "qos.delivery_mode"),
        (json!({"dependencies": ["a", 1]}), "dependencies[1]"),
        (json!({"dependencies": ["tk-1"]}), "dependencies"),
        (json!({"status": "RUNNING"}), "status"),
        (json!({"started_at": 5}), "started_at"),
        (json!({"retry_count": 1}), "retry_count"),
        (json!({"description": "a\u{0}b"}), "description"),
        (json!({"parameters": {"a": ["\u{0}"]}}), "parameters"),
        (json!({"description": "x".repeat(64 * 1024 + 1)}), "description"),
    ] {
        let (status, problem) = ask(&app, "POST", PATH, Some(&draft_with("tk-1", &others))).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
        assert_eq!(problem["code"], "INVALID_FIELD");
    }
    let (_, page) = ask(&app, "GET", PATH, None).await;
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn a_body_that_is_no_ticket_is_refused_with_its_place() {
    let (app, _folder) = ticket_app().await;
    let post = |body: Vec<u8>| {
        let request = Request::builder().method("POST").uri(PATH).header(CONTENT_TYPE, "application/json");
        call(&app, request.body(Body::from(body)).unwrap())
    };
    for (body, status, code, says) in [
        (b"{\n \"a\": tru }".to_vec(), 400, "NOT_JSON", "line 2"),
        (b"".to_vec(), 400, "NOT_JSON", "line 1"),
        (b"[1]".to_vec(), 400, "INVALID_FIELD", "must be an object, is an array"),
        (b"\"\xff\"".to_vec(), 400, "NOT_JSON", "byte 1"),
        ("[".repeat(5_000).into_bytes(), 400, "NESTING_TOO_DEEP", "64 levels"),
        (vec![b' '; 1024 * 1024 + 1], 413, "MESSAGE_TOO_LARGE", "1048576"),
    ] {
        let response = post(body).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let problem = body_of(response).await;
        assert_eq!(problem["code"], code);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
}

#[tokio::test]
async fn identical_creates_at_once_make_one_ticket() {
    let (app, _folder) = ticket_app().await;
    let sent = draft("tk-1");
    let answers = join_all((0..200).map(|_| ask(&app, "POST", PATH, Some(&sent)))).await;
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!((created, answers.iter().filter(|(status, _)| *status == 200).count()), (1, 199));
    assert!(answers.iter().all(|(_, ticket)| *ticket == answers[0].1));
    let (_, page) = ask(&app, "GET", PATH, None).await;
    assert_eq!(page["total"], 1);
}
