//! Tokens, asked for by the real process on real sockets.

use hive_grpc_kit::testing::Channel;
use hive_it::folder::temporary;
use hive_it::plan;
use hive_it::process::Hive;
use hive_it::roles::Processes;
use hive_it::up::{Up, up};
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use hive_proto::grpc::neural_hive::execution::{
    ExecutionTicket, Qos, Sla, TokenRequest, UpdateStatusRequest,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::{Code, Request};

const SECRET: &str = "a-secret-of-thirty-two-characters";

const GUARDED: [(&str, &str); 2] = [("GRPC__SERVER__AUTH__MODE", "required"), ("JWT_SECRET_KEY", SECRET)];

fn guarded(hive: Hive) -> Hive {
    GUARDED.iter().fold(hive, |hive, (name, value)| hive.env(name, value))
}

fn client(channel: &Channel) -> TicketServiceClient<Channel> {
    TicketServiceClient::new(channel.clone())
}

/// A request that shows a token.
fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

fn running(ticket_id: &str) -> UpdateStatusRequest {
    let (ticket_id, status) = (ticket_id.to_owned(), "RUNNING".to_owned());
    UpdateStatusRequest { ticket_id, status, ..UpdateStatusRequest::default() }
}

fn ticket(ticket_id: &str) -> ExecutionTicket {
    ExecutionTicket {
        ticket_id: ticket_id.to_owned(),
        plan_id: "p".to_owned(),
        intent_id: "i".to_owned(),
        decision_id: "d".to_owned(),
        task_id: ticket_id.to_owned(),
        task_type: "BUILD".to_owned(),
        description: Some("Build it".to_owned()),
        priority: "NORMAL".to_owned(),
        risk_band: "low".to_owned(),
        security_level: "INTERNAL".to_owned(),
        sla: Some(Sla { deadline: Some(4_000_000_000_000), timeout_ms: Some(60_000), max_retries: Some(1) }),
        qos: Some(Qos {
            delivery_mode: "AT_LEAST_ONCE".to_owned(),
            consistency: "EVENTUAL".to_owned(),
            durability: "PERSISTENT".to_owned(),
        }),
        ..ExecutionTicket::default()
    }
}

fn service_token() -> String {
    hive_it::token(SECRET, &json!({"sub": "service"}))
}

#[test]
fn a_ticket_token_changes_its_ticket_and_nothing_else() {
    let data = temporary();
    let up = Up::of(guarded(up(data.path())));
    let runtime = Runtime::new().expect("threads");
    let token = runtime.block_on(async {
        let channel = Channel::connect(up.tickets_address()).await.expect("the tickets listen");
        let refused = client(&channel).create_ticket(ticket("t-1")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let service = service_token();
        for id in ["t-1", "t-2"] {
            client(&channel).create_ticket(with(&service, ticket(id))).await.expect("created");
        }
        let asked = TokenRequest { ticket_id: "t-1".to_owned() };
        let token = client(&channel).generate_token(with(&service, asked)).await.expect("a token");
        let token = token.into_inner().token;
        let mut worker = client(&channel);
        let changed =
            worker.update_ticket_status(with(&token, running("t-1"))).await.expect("its own ticket");
        assert_eq!(changed.into_inner().status, "RUNNING");
        let other = TokenRequest { ticket_id: "t-2".to_owned() };
        for refused in [
            worker.update_ticket_status(with(&token, running("t-2"))).await.unwrap_err(),
            worker.generate_token(with(&token, other)).await.unwrap_err(),
            worker.create_ticket(with(&token, ticket("t-3"))).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        }
        let read_only = hive_it::token(SECRET, &json!({"ticket_id": "t-1", "scopes": ["ticket:read"]}));
        let refused = worker.update_ticket_status(with(&read_only, running("t-1"))).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        token
    });

    let patch = |ticket: &str, token: Option<&str>| {
        let path = format!("/api/v1/tickets/{ticket}/status");
        up.send("PATCH", &path, token, Some(&json!({"status": "COMPLETED"})))
    };
    assert_eq!(patch("t-1", None).0, 401);
    assert_eq!(patch("t-1", Some("nonsense")).0, 401);
    let (status, body) = patch("t-2", Some(&token));
    let body: Value = serde_json::from_str(&body).expect("a problem");
    assert_eq!((status, &body["code"]), (403, &json!("TICKET_SCOPE")));
    assert_eq!(patch("t-1", Some(&token)).0, 200);
    assert_eq!(up.send("GET", "/api/v1/tickets/t-2", Some(&service_token()), None).0, 200);
    assert_eq!(up.get("/health").0, 200, "probes need no token");
    let _ = up.end().exits_with(0);
}

#[test]
fn processes_show_each_other_tokens() {
    let (data, plans) = (temporary(), temporary());
    let message = plan::single("guarded", "Asks for tokens", 1);
    let file = plan::write(plans.path(), "guarded.json", message.to_string());
    let processes = Processes::start_with(data.path(), &GUARDED);
    let refused = processes.submit(&file).finish().exits_with(1);
    assert!(refused.err.contains("hive: http"), "{}", refused.err);
    let ran = guarded(processes.submit(&file)).finish().exits_with(0);
    assert!(ran.out.contains("SUCCESS: 1 ticket: 1 completed"), "{}", ran.out);
    processes.end_all();
}
