//! Logs in the form that log readers take in.

use hive_it::folder::temporary;
use hive_it::plan;
use hive_it::random::Random;
use hive_it::up::{Up, up};
use hive_proto::grpc::neural_hive::service_registry::GetAgentRequest;
use serde_json::Value;
use tokio::runtime::Runtime;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_line_is_one_object_for_events_and_for_calls() {
    let data = temporary();
    let up = Up::of(up(data.path()).env("LOG_FORMAT", "json").env("LOG_LEVEL", "info"));
    let message = plan::layered("logged", 2, 2, &mut Random::new(1));
    Runtime::new().expect("threads").block_on(async {
        let submitted = up.submit_traced(&message, PARENT).await;
        up.end_of(&submitted.workflow_id).await;
    });
    let finished = up.end().exits_with(0);
    let lines = finished.err.lines().filter(|line| !line.starts_with("hive: "));
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string() && line["event"].is_string(),
            "{line}"
        );
    }
    let ended = lines.iter().find(|line| line["event"] == "flow orch-logged ended").expect("it is told");
    assert_eq!((&ended["level"], &ended["workflow.id"]), (&"info".into(), &"orch-logged".into()));
    let call = lines.iter().find(|line| {
        line["event"] == "grpc_request_completed"
            && line["method"] == "/neural_hive.orchestration.OrchestratorService/SubmitPlan"
    });
    let call = call.expect("the call is told");
    assert_eq!(
        (&call["status"], &call["trace_id"]),
        (&"OK".into(), &"4bf92f3577b34da6a3ce929d0e0e4736".into())
    );
    assert!(call["duration_ms"].is_f64() && call["correlation_id"].is_string(), "{call}");
}

#[test]
fn nobody_reading_the_logs_stops_nothing() {
    let data = temporary();
    let up = Up::of(up(data.path()).env("LOG_FORMAT", "json").read_only_to("metrics serves"));
    let message = plan::layered("unread", 2, 2, &mut Random::new(2));
    Runtime::new().expect("threads").block_on(async {
        // More lines than the pipe holds.
        let mut registry = up.registry().await;
        for _ in 0..1_000 {
            let agent = GetAgentRequest { agent_id: "agent-1".to_owned() };
            let _ = registry.get_agent(agent).await.expect("it is registered");
        }
        let submitted = up.submit(&message).await;
        assert_eq!(up.end_of(&submitted.workflow_id).await.plan_status, "SUCCESS");
    });
    // The end waits for no reader.
    let _ = up.end().exits_with(0);
}
