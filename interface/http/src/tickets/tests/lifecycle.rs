//! Changing tickets.

use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::{create, dispatch, draft, draft_with, patch};
use crate::testing::{ask, json as body_of, send, ticket_app, ticket_app_and_api};

#[tokio::test]
async fn a_ticket_runs_and_completes() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    let (status, problem) = patch(&app, json!({"status": "COMPLETED"})).await;
    assert_eq!((status, &problem["code"]), (400, &json!("INVALID_TRANSITION")));
    assert!(problem["detail"].as_str().unwrap().contains("invalid transition"), "{problem}");

    let (status, ticket) = patch(&app, json!({"status": "in_progress"})).await;
    assert_eq!((status, &ticket["status"]), (200, &json!("RUNNING")));
    assert!(ticket["started_at"].is_i64());
    let (status, again) = patch(&app, json!({"status": "RUNNING"})).await;
    assert_eq!((status, &again), (200, &ticket), "a repeat changes nothing");

    let (status, ticket) = patch(&app, json!({"status": "COMPLETED", "actual_duration_ms": 7})).await;
    assert_eq!((status, &ticket["actual_duration_ms"]), (200, &json!(7)));
    assert!(ticket["completed_at"].as_i64() > ticket["started_at"].as_i64());
    let (status, _) = patch(&app, json!({"status": "RUNNING"})).await;
    assert_eq!(status, 400, "a terminal state is final");
}

#[tokio::test]
async fn agents_are_fenced_by_their_epoch() {
    let (app, api, _folder) = ticket_app_and_api().await;
    create(&app, &draft("tk-1")).await;
    dispatch(&api, "agent-1", 2).await;
    let by =
        |agent: &str, epoch: u64, status: &str| json!({"status": status, "agent_id": agent, "epoch": epoch});
    let (status, ticket) = patch(&app, by("agent-1", 2, "RUNNING")).await;
    assert_eq!((status, &ticket["agent_id"], &ticket["epoch"]), (200, &json!("agent-1"), &json!(2)));
    let (status, problem) = patch(&app, by("agent-1", 1, "COMPLETED")).await;
    assert_eq!((status, &problem["code"]), (409, &json!("STALE_EPOCH")));
    let (status, problem) = patch(&app, by("agent-2", 2, "COMPLETED")).await;
    assert_eq!((status, &problem["code"]), (409, &json!("NOT_YOURS")));
    let (status, _) = patch(&app, by("agent-1", 2, "COMPLETED")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn notes_go_along_or_alone() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft_with("tk-1", &json!({"metadata": {"a": "1", "b": "1"}}))).await;
    let note = json!({"metadata": {"b": 2, "c": {"k": null}}, "assigned_worker": "agent-1"});
    let (status, ticket) = ask(&app, "PATCH", "/api/v1/tickets/tk-1/", Some(&note)).await;
    assert_eq!(
        (status, &ticket["status"], &ticket["assigned_worker"]),
        (200, &json!("PENDING"), &json!("agent-1"))
    );
    assert_eq!(ticket["metadata"], json!({"a": "1", "b": "2", "c": "{\"k\": null}"}));

    let (status, ticket) =
        patch(&app, json!({"status": "failed", "error_message": "e\u{0}", "metadata": {"d": "4"}})).await;
    assert_eq!((status, &ticket["status"], &ticket["metadata"]["d"]), (200, &json!("FAILED"), &json!("4")));
    assert_eq!((&ticket["error_message"], &ticket["retryable"]), (&json!("e\u{fffd}"), &json!(true)));

    let other = json!({"assigned_worker": "agent-2"});
    let (status, problem) = ask(&app, "PATCH", "/api/v1/tickets/tk-1", Some(&other)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("NOT_YOURS")));
    // Refused as a whole: neither the status nor the note is taken.
    let both = json!({"status": "pending", "metadata": {"e": "x".repeat(60_000), "f": "x".repeat(60_000)}});
    let (status, problem) = ask(&app, "PATCH", "/api/v1/tickets/tk-1", Some(&both)).await;
    assert_eq!((status, &problem["field"]), (400, &json!("metadata")));
    let (_, ticket) = ask(&app, "GET", "/api/v1/tickets/tk-1", None).await;
    assert_eq!((&ticket["status"], &ticket["metadata"]["e"]), (&json!("FAILED"), &Value::Null));
}

#[tokio::test]
async fn wrong_changes_are_named() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    for (body, field) in [
        (json!({}), "status"),
        (json!({"status": null}), "status"),
        (json!({"status": "assigned"}), "status"),
        (json!({"status": 5}), "status"),
        (json!({"status": "RUNNING", "agent_id": "a"}), "epoch"),
        (json!({"status": "RUNNING", "epoch": 1}), "agent_id"),
        (json!({"status": "RUNNING", "agent_id": "a", "epoch": -1}), "epoch"),
        (json!({"status": "RUNNING", "agent_id": "", "epoch": 1}), "agent_id"),
        (json!({"status": "FAILED", "retryable": "yes"}), "retryable"),
        (json!({"status": "FAILED", "actual_duration_ms": -1}), "actual_duration_ms"),
        (json!({"status": "FAILED", "actual_duration_ms": 1e300}), "actual_duration_ms"),
        (json!({"status": "FAILED", "error_message": {}}), "error_message"),
    ] {
        let (status, problem) = patch(&app, body.clone()).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{body}: {problem}");
    }
    let unknown =
        ask(&app, "PATCH", "/api/v1/tickets/none/status", Some(&json!({"status": "RUNNING"}))).await;
    assert_eq!(unknown.0, 404);
    assert_eq!(ask(&app, "PATCH", "/api/v1/tickets/tk-1", Some(&json!({}))).await.0, 400);
}

#[tokio::test]
async fn a_failed_ticket_is_tried_again_as_often_as_agreed() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    let retry = || ask(&app, "POST", "/api/v1/tickets/tk-1/retry", None);
    let (status, ticket) = retry().await;
    assert_eq!((status, &ticket["retry_count"]), (200, &json!(0)), "a ticket that waits stays as it is");
    patch(&app, json!({"status": "FAILED"})).await;
    let (status, ticket) = retry().await;
    assert_eq!((status, &ticket["status"], &ticket["retry_count"]), (200, &json!("PENDING"), &json!(1)));
    patch(&app, json!({"status": "RUNNING"})).await;
    let (status, problem) = retry().await;
    assert_eq!((status, &problem["code"]), (400, &json!("INVALID_TRANSITION")));
    patch(&app, json!({"status": "FAILED"})).await;
    let (status, problem) = ask(&app, "POST", "/api/v1/tickets/tk-1/retry/", None).await;
    assert_eq!((status, &problem["code"]), (409, &json!("RETRIES_EXHAUSTED")));
    assert_eq!(ask(&app, "POST", "/api/v1/tickets/none/retry", None).await.0, 404);
}

#[tokio::test]
async fn tokens_are_given_while_there_is_work() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    for method in ["GET", "POST"] {
        let response = send(&app, method, "/api/v1/tickets/tk-1/token", None).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CACHE_CONTROL]),
            (200, &"no-store".parse().unwrap())
        );
        let token = body_of(response).await;
        assert_eq!((&token["token"], &token["token_type"]), (&token["access_token"], &json!("Bearer")));
        assert_eq!((&token["ticket_id"], &token["expires_in"]), (&json!("tk-1"), &json!(3_600)));
        assert!(token["expires_at"].is_i64());
        assert_eq!(
            token["scopes"],
            json!(["ticket:read", "ticket:update", "task:build", "security:elevated"])
        );
    }
    patch(&app, json!({"status": "FAILED"})).await;
    let (status, problem) = ask(&app, "GET", "/api/v1/tickets/tk-1/token/", None).await;
    assert_eq!(status, 403);
    assert_eq!(problem["detail"], "Cannot generate token for ticket with status FAILED");
    assert_eq!(ask(&app, "POST", "/api/v1/tickets/none/token", None).await.0, 404);
}

#[tokio::test]
async fn a_ticket_is_undone_once() {
    const PATH: &str = "/api/v1/tickets/compensation";
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    patch(&app, json!({"status": "RUNNING"})).await;
    let plain = json!({"original_ticket_id": "tk-1", "reason": "broken"});
    let (status, begun) = ask(&app, "POST", PATH, Some(&plain)).await;
    assert_eq!(
        (status, &begun["status"], &begun["action"]),
        (200, &json!("PENDING"), &json!("delete_artifacts"))
    );
    assert_eq!((&begun["original_ticket_id"], &begun["reason"]), (&json!("tk-1"), &json!("broken")));
    assert_eq!(ask(&app, "POST", PATH, Some(&plain)).await, (200, begun.clone()));
    let undo = begun["ticket_id"].as_str().unwrap();
    let (_, undo) = ask(&app, "GET", &format!("/api/v1/tickets/{undo}"), None).await;
    assert_eq!((&undo["task_type"], &undo["plan_id"]), (&json!("COMPENSATE"), &json!("plan-xyz")));
    let (_, original) = ask(&app, "GET", "/api/v1/tickets/tk-1", None).await;
    assert_eq!(
        (&original["status"], &original["compensation_ticket_id"]),
        (&json!("COMPENSATING"), &undo["ticket_id"])
    );
    // What an existing caller does next.
    assert_eq!(patch(&app, json!({"status": "FAILED"})).await.0, 200);
}

#[tokio::test]
async fn an_undo_takes_its_action_from_the_caller_and_refuses_what_it_cannot_do() {
    const PATH: &str = "/api/v1/tickets/compensation";
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    patch(&app, json!({"status": "CANCELLED"})).await;
    let plain = json!({"original_ticket_id": "tk-1", "reason": "r"});
    let (status, problem) = ask(&app, "POST", PATH, Some(&plain)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("INVALID_TRANSITION")));

    create(&app, &draft("tk-2")).await;
    let wanted = json!({"original_ticket_id": "tk-2", "reason": "r", "compensation_action": "burn",
        "parameters": {"heat": 9}});
    let (status, begun) = ask(&app, "POST", PATH, Some(&wanted)).await;
    assert_eq!((status, &begun["action"]), (200, &json!("burn")));
    let path = format!("/api/v1/tickets/{}", begun["ticket_id"].as_str().unwrap());
    assert_eq!(ask(&app, "GET", &path, None).await.1["parameters"]["heat"], 9);

    for (body, field) in [
        (json!({"reason": "r"}), "original_ticket_id"),
        (json!({"original_ticket_id": "tk-2"}), "reason"),
        (json!({"original_ticket_id": "tk-2", "reason": "r", "parameters": 5}), "parameters"),
        (json!({"original_ticket_id": "\u{1}", "reason": "r"}), "original_ticket_id"),
    ] {
        let (status, problem) = ask(&app, "POST", PATH, Some(&body)).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    let unknown = json!({"original_ticket_id": "none", "reason": "r"});
    assert_eq!(ask(&app, "POST", PATH, Some(&unknown)).await.0, 404);
}
