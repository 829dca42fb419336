//! The workflow routes, on real databases, with a worker that reports over REST.

use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use futures_util::stream::{self, BoxStream, StreamExt};
use hive_application::clock::Timer;
use hive_application::error::Error;
use hive_application::orchestration::{
    AgentDirectory, AgentNews, AgentQuery, Config, Dependencies, FlowChange, FlowWatch, Orchestration,
    Unobserved,
};
use hive_domain::ids::WorkflowId;
use hive_domain::orchestration::flow::Phase;
use hive_domain::registry::public::AgentSnapshot;
use hive_domain::time::Timestamp;
use hive_peers::in_process::TicketPeer;
use hive_sql::OrchestrationDatabase;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::router;
use crate::testing::{Counting, Ticking, ask, call, json as body_of, platform, segment, ticket_api};

const START: &str = "/api/v1/workflows/start";

struct NoAgents;

#[async_trait]
impl AgentDirectory for NoAgents {
    async fn discover(&self, _query: &AgentQuery) -> Result<Vec<AgentSnapshot>, Error> {
        Ok(Vec::new())
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<AgentNews, Error>>, Error> {
        Ok(stream::pending().boxed())
    }
}

struct Never;

#[async_trait]
impl Timer for Never {
    async fn sleep_until(&self, _at: Timestamp) {
        pending::<()>().await;
    }
}

/// Both roles in one application.
struct Served {
    app: Router,
    orchestration: Orchestration,
    _folder: TempDir,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let api = ticket_api(&folder).await;
    let path = folder.path().join("orchestration.db");
    let database = OrchestrationDatabase::open(&hive_sql::Config::new(path)).await.unwrap();
    let dependencies = Dependencies {
        journal: database.journal(),
        tickets: Arc::new(TicketPeer::new(api.tickets.clone())),
        agents: Arc::new(NoAgents),
        clock: Arc::new(Ticking::default()),
        timer: Arc::new(Never),
        ids: Arc::new(Counting::default()),
        observer: Arc::new(Unobserved),
    };
    let orchestration = Orchestration::new(dependencies, Config::default());
    let roles = [router::tickets(api), router::orchestration(orchestration.clone())];
    Served { app: router::app(platform().0, roles), orchestration, _folder: folder }
}

fn plan(plan_id: &str) -> Value {
    let task = |id: &str, dependencies: &[&str]| {
        json!({"task_id": id, "task_type": "query", "description": "reads", "dependencies": dependencies,
            "estimated_duration_ms": 500, "required_capabilities": ["read"], "parameters": {}, "metadata": {}})
    };
    json!({"plan_id": plan_id, "intent_id": "intent-1", "tasks": [task("a", &[]), task("b", &["a"])],
        "execution_order": ["a", "b"], "risk_score": 0.3, "risk_band": "low"})
}

fn start(plan_id: &str) -> Value {
    json!({"cognitive_plan": plan(plan_id), "correlation_id": "corr-1", "priority": 9, "sla_deadline_seconds": 60})
}

/// Waits until the tickets of the flow are there.
async fn generated(orchestration: &Orchestration) {
    let mut watch = orchestration.flows.watch(WorkflowId::parse("orch-plan-1").unwrap());
    while let Some(heard) = watch.next().await {
        match heard.unwrap() {
            FlowWatch::Snapshot(view) if view.phase == Phase::Executing => return,
            FlowWatch::Changed(change)
                if matches!(*change, FlowChange::Entered { phase: Phase::Executing, .. }) =>
            {
                return;
            }
            _ => {}
        }
    }
    panic!("the flow ended before it began");
}

#[tokio::test]
async fn a_plan_is_started_followed_and_remembered() {
    let Served { app, orchestration, _folder } = served().await;
    let supervisor = orchestration.supervisor.clone();
    let supervised = tokio::spawn(async move { supervisor.execute().await });

    let (status, started) = ask(&app, "POST", START, Some(&start("plan-1"))).await;
    assert_eq!(status, 200, "{started}");
    assert_eq!((&started["workflow_id"], &started["status"]), (&json!("orch-plan-1"), &json!("started")));
    assert_eq!(started["correlation_id"], "corr-1");
    generated(&orchestration).await;

    let (status, view) = ask(&app, "GET", "/api/v1/workflows/orch-plan-1", None).await;
    assert_eq!((status, &view["status"], &view["close_time"]), (200, &json!("executing"), &Value::Null));
    assert_eq!(view["tickets"], json!({"PENDING": 2, "total": 2}));

    let asked = async |name: &str| {
        ask(&app, "POST", "/api/v1/workflows/orch-plan-1/query", Some(&json!({"query_name": name}))).await
    };
    let (status, answer) = asked("get_tickets").await;
    assert_eq!((status, answer["result"].as_array().unwrap().len()), (200, 2), "{answer}");
    let (status, answer) = asked("get_status").await;
    let result = &answer["result"];
    assert_eq!(
        (status, &result["status"], &result["tickets_generated"]),
        (200, &json!("executing"), &json!(2))
    );
    assert_eq!((&result["workflow_result"], &result["sla_warnings"]), (&Value::Null, &json!([])));
    let (status, problem) = asked("get_lost").await;
    assert_eq!((status, &problem["field"]), (400, &json!("query_name")));

    let (status, page) = ask(&app, "GET", "/api/v1/tickets/by-plan/plan-1?limit=1", None).await;
    assert_eq!(
        (status, &page["total"], &page["has_more"], &page["cached"]),
        (200, &json!(2), &json!(true), &json!(false))
    );
    assert_eq!(
        page["tickets"][0]["priority"], "CRITICAL",
        "the priority of the request is that of its tickets"
    );
    let (_, page) = ask(&app, "GET", "/api/v1/tickets/by-plan/plan-1/?offset=1&status=pending", None).await;
    assert_eq!((page["tickets"].as_array().unwrap().len(), &page["has_more"]), (1, &json!(false)));
    let (_, page) = ask(&app, "GET", "/api/v1/tickets/by-plan/plan-1?status=REJECTED", None).await;
    assert_eq!((&page["total"], &page["tickets"]), (&json!(0), &json!([])));

    let ended = orchestration.flows.watch(WorkflowId::parse("orch-plan-1").unwrap());
    let (_, page) = ask(&app, "GET", "/api/v1/tickets/by-plan/plan-1", None).await;
    for ticket in page["tickets"].as_array().unwrap().iter().rev() {
        let path = format!("/api/v1/tickets/{}/status", ticket["ticket_id"].as_str().unwrap());
        for word in ["RUNNING", "COMPLETED"] {
            assert_eq!(ask(&app, "PATCH", &path, Some(&json!({"status": word}))).await.0, 200);
        }
        // A note on a ticket that is done is no second end of it.
        let note = json!({"status": "COMPLETED", "metadata": {"seen": "yes"}});
        assert_eq!(ask(&app, "PATCH", &path, Some(&note)).await.0, 200);
    }
    ended.for_each(|heard| async { drop(heard.unwrap()) }).await;

    let (status, view) = ask(&app, "GET", "/api/v1/workflows/orch-plan-1/", None).await;
    assert_eq!(
        (status, &view["status"], &view["plan_status"]),
        (200, &json!("completed"), &json!("SUCCESS"))
    );
    assert_eq!(view["result_summary"]["metrics"]["successful"], 2);
    assert!(view["close_time"].is_string() && view["execution_time"].as_f64().unwrap() > 0.0);

    let (status, again) = ask(&app, "POST", "/api/v1/workflows/start/", Some(&start("plan-1"))).await;
    assert_eq!(
        (status, &again["status"], &again["correlation_id"]),
        (200, &json!("completed"), &json!("corr-1"))
    );
    assert_eq!(again["result_summary"]["status"], "SUCCESS");

    let mut other = start("plan-1");
    other["cognitive_plan"]["risk_score"] = json!(0.4);
    let (status, problem) = ask(&app, "POST", START, Some(&other)).await;
    assert_eq!((status, &problem["errors"][0]["code"]), (409, &json!("PLAN_CONFLICT")));
    supervised.abort();
}

#[tokio::test]
async fn tickets_that_are_not_there_yet_are_being_made() {
    let Served { app, _folder, .. } = served().await;
    let path = "/api/v1/workflows/orch-plan-1/query";
    let asked = json!({"query_name": "get_tickets", "args": []});
    assert_eq!(ask(&app, "POST", path, Some(&asked)).await.0, 404);
    // Nobody drives the flow.
    assert_eq!(ask(&app, "POST", START, Some(&start("plan-1"))).await.0, 200);
    let (status, answer) = ask(&app, "POST", path, Some(&asked)).await;
    assert_eq!((status, &answer["processing"], &answer["tickets"]), (202, &json!(true), &json!([])));
}

#[tokio::test]
async fn a_refused_plan_lists_everything_that_is_wrong() {
    let Served { app, _folder, .. } = served().await;
    let mut wrong = start("plan-1");
    wrong["cognitive_plan"]["risk_band"] = json!("huge");
    wrong["cognitive_plan"]["tasks"][0]["dependencies"] = json!(["b"]);
    let (status, problem) = ask(&app, "POST", START, Some(&wrong)).await;
    assert_eq!((status, &problem["code"]), (422, &json!("PLAN_INVALID")));
    let found = problem["errors"].as_array().unwrap();
    let codes: Vec<_> = found.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"SCHEMA_INVALID") && codes.contains(&"CYCLE"), "{problem}");
    assert_eq!(found[0]["path"], "cognitive_plan.risk_band");
    assert_eq!(ask(&app, "GET", "/api/v1/workflows/orch-plan-1", None).await.0, 404);
}

#[tokio::test]
async fn wrong_requests_are_named() {
    let Served { app, _folder, .. } = served().await;
    for (change, field) in [
        (json!({"cognitive_plan": null}), "cognitive_plan"),
        (json!({"cognitive_plan": "text"}), "cognitive_plan"),
        (json!({"priority": 0}), "priority"),
        (json!({"priority": 11}), "priority"),
        (json!({"priority": "high"}), "priority"),
        (json!({"sla_deadline_seconds": 0}), "sla_deadline_seconds"),
        (json!({"correlation_id": 5}), "correlation_id"),
    ] {
        let mut body = start("plan-1");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = ask(&app, "POST", START, Some(&body)).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    for (query, field) in
        [("limit=501", "limit"), ("limit=0", "limit"), ("offset=-1", "offset"), ("status=bogus", "status")]
    {
        let path = format!("/api/v1/tickets/by-plan/plan-1?{query}");
        let (status, problem) = ask(&app, "GET", &path, None).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    let large = Request::post(START).body(Body::from(vec![b' '; 16 * 1024 * 1024 + 1])).unwrap();
    let response = call(&app, large).await;
    assert_eq!(response.status(), 413);
    assert_eq!(body_of(response).await["code"], "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_plan_that_does_not_run_is_no_error() {
    let Served { app, _folder, .. } = served().await;
    for (change, status) in [
        (json!({"requires_approval": true}), "AWAITING_APPROVAL"),
        (json!({"approval_status": "rejected"}), "REJECTED"),
    ] {
        let mut body = start("plan-1");
        body["cognitive_plan"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (code, answer) = ask(&app, "POST", START, Some(&body)).await;
        assert_eq!((code, &answer["status"]), (200, &json!(status)), "{answer}");
        assert_eq!(answer["workflow_id"], "orch-plan-1");
    }
    assert_eq!(ask(&app, "GET", "/api/v1/workflows/orch-plan-1", None).await.0, 404);
}

#[test]
fn any_id_is_a_typed_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Served { app, _folder, .. } = runtime.block_on(served());
    proptest!(ProptestConfig::with_cases(64), |(id in any::<String>())| {
        prop_assume!(!id.is_empty() && id != "start");
        runtime.block_on(async {
            let (status, body) = ask(&app, "GET", &format!("/api/v1/workflows/{}", segment(&id)), None).await;
            assert!([400, 404].contains(&status) && body["code"].is_string(), "{status}: {body}");
            let (status, body) = ask(&app, "GET", &format!("/api/v1/tickets/by-plan/{}", segment(&id)), None).await;
            assert!(status == 400 || (status == 200 && body["total"] == 0), "{status}: {body}");
        });
    });
}
