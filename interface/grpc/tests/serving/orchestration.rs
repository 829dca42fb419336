//! Orchestration over gRPC.

use futures_util::StreamExt;
use hive_grpc::orchestration::OrchestratorService;
use hive_proto::grpc::neural_hive::orchestration as wire;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wire::SubmissionStatus;
use wire::orchestrator_service_client::OrchestratorServiceClient;
use wire::orchestrator_service_server::OrchestratorServiceServer;
use wire::workflow_event::Event;

use crate::stand::WholeStand;

type Client = OrchestratorServiceClient<OrchestratorServiceServer<OrchestratorService>>;

fn client(stand: &WholeStand) -> Client {
    let service = OrchestratorService::new(stand.orchestration.clone());
    OrchestratorServiceClient::new(OrchestratorServiceServer::new(service))
}

fn plan(id: &str, description: &str) -> String {
    let task = |name: &str, after: &str| {
        format!(
            r#"{{"task_id":"{name}","task_type":"EXECUTE","description":"{description}",
            "dependencies":[{after}],"required_capabilities":["compute"]}}"#
        )
    };
    format!(
        r#"{{"plan_id":"{id}","intent_id":"i","risk_score":0.1,"risk_band":"low",
        "tasks":[{},{},{}],"execution_order":["a","b","c"]}}"#,
        task("a", ""),
        task("b", "\"a\""),
        task("c", "\"a\",\"b\""),
    )
}

fn decision(id: &str, word: &str) -> String {
    format!(
        r#"{{"decision_id":"d","plan_id":"{id}","intent_id":"i","final_decision":"{word}",
        "cognitive_plan":{}}}"#,
        plan(id, "d")
    )
}

async fn submit(client: &mut Client, message: String) -> Result<wire::SubmitPlanResponse, Status> {
    let request = wire::SubmitPlanRequest { message: message.into_bytes() };
    client.submit_plan(request).await.map(tonic::Response::into_inner)
}

async fn get(client: &mut Client, workflow_id: &str) -> Result<wire::Workflow, Status> {
    let request = wire::GetWorkflowRequest { workflow_id: workflow_id.to_owned() };
    client.get_workflow(request).await.map(|answer| answer.into_inner().workflow.unwrap())
}

#[tokio::test]
async fn a_submitted_plan_runs_and_can_be_followed_to_its_end() {
    let stand = WholeStand::new().await;
    let mut client = client(&stand);
    let accepted = submit(&mut client, plan("p-1", "d")).await.unwrap();
    assert_eq!(accepted.workflow_id, "orch-p-1");
    assert_eq!(accepted.status(), SubmissionStatus::Accepted);
    assert!(accepted.findings.iter().all(|found| found.code == "DEFAULT_APPLIED"), "{accepted:?}");

    let request = wire::WatchWorkflowRequest { workflow_id: accepted.workflow_id };
    let events = client.watch_workflow(request).await.unwrap().into_inner();
    let events: Vec<Event> = events.map(|event| event.unwrap().event.unwrap()).collect().await;
    let (Some(Event::Snapshot(_)), Some(Event::Snapshot(last))) = (events.first(), events.last()) else {
        panic!("{events:?}")
    };
    assert_eq!((last.status.as_str(), last.plan_status.as_str()), ("completed", "SUCCESS"));
    assert!(last.result_json.contains(r#""successful":3"#), "{}", last.result_json);
    let counts = last.tickets.unwrap();
    assert_eq!((counts.total, counts.completed), (3, 3));
    assert!((last.progress_percent - 100.0).abs() < f64::EPSILON);
    assert!(last.deadline.unwrap() > last.started_at && last.updated_at >= last.started_at);

    assert_eq!(get(&mut client, "orch-p-1").await.unwrap(), *last);
    let again = submit(&mut client, plan("p-1", "d")).await.unwrap();
    assert_eq!(again.status(), SubmissionStatus::Ended);
    assert_eq!(again.result_json, last.result_json);

    let other = submit(&mut client, plan("p-1", "something else")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other:?}");
    assert_eq!(other.get_details_error_info().unwrap().reason, "PLAN_CONFLICT");
}

#[tokio::test]
async fn what_does_not_run_says_so() {
    let stand = WholeStand::new().await;
    let mut client = client(&stand);
    for (word, status) in
        [("reject", SubmissionStatus::Rejected), ("review_required", SubmissionStatus::AwaitingApproval)]
    {
        let answer = submit(&mut client, decision("p-2", word)).await.unwrap();
        assert_eq!((answer.status(), answer.workflow_id.as_str()), (status, "orch-p-2"));
    }
    assert_eq!(get(&mut client, "orch-p-2").await.unwrap_err().code(), Code::NotFound);
    let approved = submit(&mut client, decision("p-2", "approve")).await.unwrap();
    assert_eq!(approved.status(), SubmissionStatus::Accepted);
}

#[tokio::test]
async fn a_plan_that_breaks_rules_is_refused_with_every_violation() {
    let stand = WholeStand::new().await;
    let mut client = client(&stand);
    let broken = plan("p-3", "d").replace(r#""b","c"]"#, r#""c","x"]"#);
    let refused = submit(&mut client, broken).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let found: Vec<_> = violations.iter().map(|v| v.description.split(':').next().unwrap()).collect();
    assert_eq!(found, ["UNKNOWN_TASK_IN_ORDER", "TASK_NOT_IN_ORDER"], "{violations:?}");
    assert_eq!(violations[0].field, "execution_order[2]");

    let refused = submit(&mut client, "{\"plan_id\": ".to_owned()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("not JSON"), "{refused:?}");
}

#[tokio::test]
async fn an_unknown_flow_is_the_answer_to_the_call() {
    let stand = WholeStand::new().await;
    let mut client = client(&stand);
    assert_eq!(get(&mut client, "orch-x").await.unwrap_err().code(), Code::NotFound);
    let request = wire::WatchWorkflowRequest { workflow_id: "orch-x".to_owned() };
    assert_eq!(client.watch_workflow(request).await.unwrap_err().code(), Code::NotFound);
    let malformed = get(&mut client, "").await.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
    assert_eq!(malformed.get_details_bad_request().unwrap().field_violations[0].field, "workflow_id");
}
