//! Reading tickets.

use axum::body::Body;
use http::Request;
use http::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::{create, dispatch, draft, draft_with, patch};
use crate::testing::{ask, call, send, text, ticket_app, ticket_app_and_api};

fn ids(tickets: &Value) -> Vec<&str> {
    tickets.as_array().unwrap().iter().map(|ticket| ticket["ticket_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_ticket_has_an_entity_tag() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    let get = |known: &str| {
        let request = Request::get("/api/v1/tickets/tk-1/").header(IF_NONE_MATCH, known);
        call(&app, request.body(Body::empty()).unwrap())
    };
    for known in ["\"1\"", "*", "\"9\", W/\"1\""] {
        let response = get(known).await;
        assert_eq!((response.status().as_u16(), &response.headers()[ETAG]), (304, &"\"1\"".parse().unwrap()));
        assert_eq!(text(response).await, "");
    }
    patch(&app, json!({"status": "RUNNING"})).await;
    let response = get("\"1\"").await;
    assert_eq!((response.status().as_u16(), &response.headers()[ETAG]), (200, &"\"2\"".parse().unwrap()));

    let (status, problem) = ask(&app, "GET", "/api/v1/tickets/tk-2", None).await;
    assert_eq!((status, &problem["detail"]), (404, &json!("Ticket tk-2 not found")));
}

#[tokio::test]
async fn lists_are_filtered() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    create(&app, &draft_with("tk-2", &json!({"plan_id": "other", "priority": "LOW"}))).await;
    create(&app, &draft_with("tk-3", &json!({"intent_id": "intent-2"}))).await;
    patch(&app, json!({"status": "running", "assigned_worker": "agent-1"})).await;
    for (query, expected) in [
        ("", vec!["tk-3", "tk-2", "tk-1"]),
        ("plan_id=plan-xyz", vec!["tk-3", "tk-1"]),
        ("plan_id=", vec!["tk-3", "tk-2", "tk-1"]),
        ("intent_id=intent-2", vec!["tk-3"]),
        ("status=in_progress", vec!["tk-1"]),
        ("status=Pending&plan_id=plan-xyz", vec!["tk-3"]),
        ("priority=low", vec!["tk-2"]),
        ("assigned_worker=agent-1", vec!["tk-1"]),
        ("offset=1&limit=1", vec!["tk-2"]),
        ("offset=9223372036854775807", vec![]),
    ] {
        for slash in ["", "/"] {
            let (status, page) = ask(&app, "GET", &format!("/api/v1/tickets{slash}?{query}"), None).await;
            assert_eq!((status, ids(&page["tickets"])), (200, expected.clone()), "{query}");
        }
    }
    let (_, page) = ask(&app, "GET", "/api/v1/tickets", None).await;
    assert_eq!((&page["total"], &page["offset"], &page["limit"]), (&json!(3), &json!(0), &json!(100)));
}

#[tokio::test]
async fn pages_follow_each_other_by_token() {
    let (app, _folder) = ticket_app().await;
    for id in ["tk-1", "tk-2", "tk-3"] {
        create(&app, &draft(id)).await;
    }
    let mut path = "/api/v1/tickets?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let (status, page) = ask(&app, "GET", &path, None).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(ids(&page["tickets"]).into_iter().map(str::to_owned));
        let Some(token) = page["next_page_token"].as_str() else { break };
        path = format!("/api/v1/tickets?limit=2&page_token={token}");
    }
    assert_eq!(seen, ["tk-3", "tk-2", "tk-1"]);
}

#[tokio::test]
async fn wrong_filters_are_named() {
    let (app, _folder) = ticket_app().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("offset=9223372036854775808", "offset"),
        ("status=bogus", "status"),
        ("priority=urgent", "priority"),
        ("plan_id=a&plan_id=b", "plan_id"),
        ("plan_id=%00", "plan_id"),
        ("page_token=next", "page_token"),
    ] {
        let (status, problem) = ask(&app, "GET", &format!("/api/v1/tickets?{query}"), None).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{query}: {problem}");
    }
}

#[tokio::test]
async fn history_begins_with_the_creation() {
    let (app, api, _folder) = ticket_app_and_api().await;
    create(&app, &draft("tk-1")).await;
    dispatch(&api, "agent-1", 1).await;
    patch(&app, json!({"status": "RUNNING", "agent_id": "agent-1", "epoch": 1})).await;
    patch(&app, json!({"status": "FAILED", "error_message": "boom"})).await;
    let (status, body) = ask(&app, "GET", "/api/v1/tickets/tk-1/history", None).await;
    assert_eq!((status, &body["ticket_id"], &body["total"]), (200, &json!("tk-1"), &json!(4)));
    let steps: Vec<_> = body["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), &entry["old_status"], &entry["changed_by"]))
        .collect();
    assert_eq!(
        steps,
        [
            ("created", &Value::Null, &json!("rest")),
            ("dispatched", &json!("PENDING"), &json!("orchestrator")),
            ("started", &json!("RUNNING"), &json!("agent-1")),
            ("failed", &json!("RUNNING"), &json!("rest")),
        ]
    );
    assert!(body["history"][0]["timestamp"].is_i64() && body["history"][0]["metadata"].is_object());
    assert_ne!(body["history"][0]["event_id"], body["history"][1]["event_id"]);
    assert_eq!(ask(&app, "GET", "/api/v1/tickets/none/history/", None).await.0, 404);
}

#[tokio::test]
async fn dependencies_are_tickets_in_their_order() {
    let (app, _folder) = ticket_app().await;
    for id in ["tk-1", "tk-2"] {
        create(&app, &draft(id)).await;
    }
    create(&app, &draft_with("tk-3", &json!({"dependencies": ["tk-2", "nobody", "tk-1"]}))).await;
    let (status, tickets) = ask(&app, "GET", "/api/v1/tickets/tk-3/dependencies", None).await;
    assert_eq!((status, ids(&tickets)), (200, vec!["tk-2", "tk-1"]));
    let (_, tickets) = ask(&app, "GET", "/api/v1/tickets/tk-3/dependencies/?offset=1&limit=2", None).await;
    assert_eq!(ids(&tickets), ["tk-1"]);
    assert_eq!(ask(&app, "GET", "/api/v1/tickets/none/dependencies", None).await.0, 404);
}

#[tokio::test]
async fn plans_are_asked_about_together() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    create(&app, &draft_with("tk-2", &json!({"plan_id": "other"}))).await;
    create(&app, &draft_with("tk-3", &json!({"plan_id": "third"}))).await;
    let wanted = json!({"plan_ids": ["other", "plan-xyz", "unknown", "other"]});
    let (status, body) = ask(&app, "POST", "/api/v1/tickets/by-plans", Some(&wanted)).await;
    assert_eq!((status, ids(&body["tickets"])), (200, vec!["tk-2", "tk-1"]));
    let first = json!({"plan_id": "other", "ticket_id": "tk-2", "status": "PENDING"});
    assert_eq!((&body["tickets"][0], &body["truncated"]), (&first, &json!(false)));
    for wrong in [json!({}), json!({"plan_ids": "a"}), json!({"plan_ids": [1]}), json!({"plan_ids": [""]})] {
        let (status, problem) = ask(&app, "POST", "/api/v1/tickets/by-plans", Some(&wrong)).await;
        assert_eq!(status, 400);
        assert!(problem["field"].as_str().unwrap().starts_with("plan_ids"), "{problem}");
    }
    let many = json!({"plan_ids": vec!["a"; 101]});
    assert_eq!(ask(&app, "POST", "/api/v1/tickets/by-plans", Some(&many)).await.0, 400);
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_a_get() {
    let (app, _folder) = ticket_app().await;
    create(&app, &draft("tk-1")).await;
    let response = send(&app, "HEAD", "/api/v1/tickets/tk-1", None).await;
    assert_eq!((response.status().as_u16(), &response.headers()[ETAG]), (200, &"\"1\"".parse().unwrap()));
    assert_eq!(text(response).await, "");
}
