//! The whole platform in one process, reached over its ports.

use hive_it::folder::{Folder, temporary};
use hive_it::process::Hive;
use hive_it::random::Random;
use hive_it::up::{Up, up};
use hive_it::{audit, plan};
use hive_proto::grpc::neural_hive::orchestration::SubmissionStatus;
use hive_proto::grpc::neural_hive::service_registry::WatchAgentsRequest;
use tokio::runtime::Runtime;
use tonic::Code;

fn runtime() -> Runtime {
    Runtime::new().expect("threads")
}

#[test]
fn a_plan_is_handed_in_followed_to_its_end_and_remembered() {
    let data = temporary();
    let message = plan::layered("served", 4, 3, &mut Random::new(11));
    let up = Up::start(data.path());
    assert_eq!(up.get("/health").0, 200);
    let (status, body) = up.get("/ready");
    assert_eq!((status, body.contains("\"tickets\":true")), (200, true), "{body}");
    let before = up.scrape();
    let ended = "orchestration_workflows_completed_total{status=\"SUCCESS\",risk_band=\"medium\"}";
    assert!(before.contains(&format!("{ended} 0\n")), "{before}");

    runtime().block_on(async {
        let submitted = up.submit(&message).await;
        assert_eq!(submitted.status(), SubmissionStatus::Accepted);
        let workflow = up.end_of(&submitted.workflow_id).await;
        assert_eq!((workflow.status.as_str(), workflow.plan_status.as_str()), ("completed", "SUCCESS"));
        let again = up.submit(&message).await;
        assert_eq!(again.status(), SubmissionStatus::Ended);
        assert_eq!(again.result_json, workflow.result_json);
    });
    let (status, body) = up.get("/api/v1/workflows/orch-served");
    assert_eq!((status, body.contains("\"status\":\"completed\"")), (200, true), "{body}");
    let (status, body) = up.get("/api/v1/tickets/by-plan/served");
    assert_eq!((status, body.contains("\"total\":12")), (200, true), "{body}");
    let after = up.scrape();
    assert!(after.contains(&format!("{ended} 1\n")), "{after}");
    assert!(after.contains("api_requests_total{method=\"GET\",endpoint=\"/ready\",status_code=\"200\"} 1\n"));

    let _ = up.end().exits_with(0);
    let folder = Folder::read(data.path(), "served");
    assert_eq!(audit::problems(&folder, &message), [""; 0]);
}

#[test]
fn asked_to_end_it_ends_open_streams_and_the_plan_goes_on_at_the_next_start() {
    let data = temporary();
    let message = plan::lengthy("resumed", 8, 2, &mut Random::new(5));
    let up = Up::start(data.path());
    runtime().block_on(async {
        let mut agents = up.registry().await;
        let mut watched =
            agents.watch_agents(WatchAgentsRequest::default()).await.expect("a stream").into_inner();
        watched.message().await.expect("an event").expect("an agent");
        let submitted = up.submit(&message).await;
        assert_eq!(submitted.status(), SubmissionStatus::Accepted);
        up.first_completed(&submitted.workflow_id).await;
        up.terminate();
        let end = loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a stream without an end of its own ended well"),
                Err(status) => break status,
            }
        };
        assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    });
    let _ = up.finish().exits_with(0);
    assert!(Folder::read(data.path(), "resumed").is_midway(), "it was stopped on its way");

    let up = Up::start(data.path());
    let workflow = runtime().block_on(up.end_of("orch-resumed"));
    assert_eq!(workflow.plan_status, "SUCCESS");
    let _ = up.end().exits_with(0);
    assert_eq!(audit::problems(&Folder::read(data.path(), "resumed"), &message), [""; 0]);
}

#[test]
fn killed_with_plans_under_way_it_completes_them_at_the_next_start() {
    let data = temporary();
    let mut random = Random::new(3);
    let messages: Vec<_> =
        (0..20).map(|number| plan::layered(&format!("killed-{number}"), 3, 2, &mut random)).collect();
    let up = Up::start(data.path());
    runtime().block_on(async {
        for message in &messages {
            assert_eq!(up.submit(message).await.status(), SubmissionStatus::Accepted);
        }
    });
    assert!(up.kill().was_killed());

    let up = Up::start(data.path());
    runtime().block_on(async {
        for number in 0..messages.len() {
            let workflow = up.end_of(&format!("orch-killed-{number}")).await;
            assert_eq!(workflow.plan_status, "SUCCESS", "{number}");
        }
    });
    let _ = up.end().exits_with(0);
    for (number, message) in messages.iter().enumerate() {
        let folder = Folder::read(data.path(), &format!("killed-{number}"));
        assert_eq!(audit::problems(&folder, message), [""; 0], "{number}");
    }
}

#[test]
fn what_cannot_be_served_is_said_before_anything_begins() {
    let data = temporary();
    let folder = data.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let refused = up(&folder).env("HTTP_PORT", &port).finish().exits_with(64);
    assert!(refused.err.contains("port of http"), "{}", refused.err);
    assert!(!folder.join("tickets.db").exists(), "no database was made");

    for (name, value, said) in [
        ("TICKETS__GRPC_PORT", "65536", "TICKETS__GRPC_PORT (environment): must be a whole number"),
        ("ENVIRONMENT", "production", "GRPC__SERVER__AUTH__JWT_SECRET is needed"),
        ("GRPC__SERVER__LIMITS__RATE_BURST", "5", "GRPC__SERVER__LIMITS__RATE_BURST must be 0"),
    ] {
        let folder = data.path().join(name);
        let refused = up(&folder).env(name, value).finish().exits_with(64);
        assert!(refused.err.contains(said), "{}", refused.err);
        assert!(!folder.exists(), "{name}");
    }
    let secret = "a-secret-in-a-place-where-it-is-weak";
    let dumped = Hive::new(["config", "dump"]).env("JWT_SECRET_KEY", secret).finish().exits_with(0);
    assert!(!dumped.out.contains(secret) && dumped.out.contains("set, not shown"), "{}", dumped.out);
}
