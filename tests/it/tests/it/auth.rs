//! Tokens, asked for by the real process on real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use hive_grpc_kit::testing::{Channel, key_set, token_of};
use hive_it::folder::temporary;
use hive_it::plan;
use hive_it::process::Hive;
use hive_it::roles::Processes;
use hive_it::up::{Up, up};
use hive_proto::grpc::hive::tickets::v1::ticket_dispatch_client::TicketDispatchClient;
use hive_proto::grpc::hive::tickets::v1::{GetOffsetRequest, ListPlanTicketsRequest};
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;
use hive_proto::grpc::neural_hive::execution::{
    ExecutionTicket, GetTicketRequest, ListTicketsRequest, Qos, Sla, TokenRequest, UpdateStatusRequest,
    WatchTicketsRequest,
};
use hive_proto::grpc::neural_hive::orchestration::{GetWorkflowRequest, WatchWorkflowRequest};
use hive_proto::grpc::neural_hive::service_registry::{
    DiscoverRequest, GetAgentRequest, HeartbeatRequest, ListAgentsRequest, WatchAgentsRequest,
};
use hive_proto::grpc::ticket_service;
use hive_proto::grpc::ticket_service::ticket_service_client::TicketServiceClient as LegacyClient;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::{Code, Request, Status};

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

pub(crate) fn ticket(ticket_id: &str) -> ExecutionTicket {
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
        let own = TokenRequest { ticket_id: "t-1".to_owned() };
        for refused in [
            worker.update_ticket_status(with(&token, running("t-2"))).await.unwrap_err(),
            worker.generate_token(with(&token, other)).await.unwrap_err(),
            worker.generate_token(with(&token, own)).await.unwrap_err(),
            worker.create_ticket(with(&token, ticket("t-3"))).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        }
        let read_only =
            hive_it::token(SECRET, &json!({"sub": "t-1", "ticket_id": "t-1", "scopes": ["ticket:read"]}));
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
    // To undo its own work is a change of its own ticket: workers begin it when they fail half way.
    let undo = |ticket: &str, token: &str| {
        let asked = json!({"original_ticket_id": ticket, "reason": "half done"});
        up.send("POST", "/api/v1/tickets/compensation", Some(token), Some(&asked))
    };
    let read_only =
        hive_it::token(SECRET, &json!({"sub": "t-1", "ticket_id": "t-1", "scopes": ["ticket:read"]}));
    assert_eq!(undo("t-2", &token).0, 403);
    assert_eq!(undo("t-1", &read_only).0, 403);
    let (status, body) = undo("t-1", &token);
    let body: Value = serde_json::from_str(&body).expect("the undo");
    assert_eq!((status, &body["original_ticket_id"]), (200, &json!("t-1")), "{body}");
    let undoing = body["ticket_id"].as_str().expect("its id");
    assert_eq!(patch(undoing, Some(&token)).0, 403, "the undo is another ticket");
    assert_eq!(up.send("GET", "/api/v1/tickets/t-2", Some(&service_token()), None).0, 200);
    assert_eq!(up.get("/health").0, 200, "probes need no token");
    let _ = up.end().exits_with(0);
}

/// What a token made for the ticket `t-1` gets from each service over gRPC, apart from changes of tickets.
async fn asked_over_grpc(up: &Up, token: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let channel = Channel::connect(up.tickets_address()).await.expect("the tickets listen");
    let mut tickets = client(&channel);
    let mut legacy = LegacyClient::new(channel.clone());
    let mut dispatch = TicketDispatchClient::new(channel.clone());
    let (mut registry, mut orchestration) = (up.registry().await, up.orchestration().await);
    let get = |id: &str| with(token, GetTicketRequest { ticket_id: id.to_owned() });
    let legacy_get = with(token, ticket_service::GetTicketRequest { ticket_id: "t-2".to_owned() });
    let plan = with(token, ListPlanTicketsRequest { plan_id: "p".to_owned() });
    let agent = || "agent-1".to_owned();
    let beat = HeartbeatRequest { agent_id: agent(), ..HeartbeatRequest::default() };
    let workflow = || "orchestration-p".to_owned();
    vec![
        ("own", tickets.get_ticket(get("t-1")).await.map(drop)),
        ("another", tickets.get_ticket(get("t-2")).await.map(drop)),
        ("list", tickets.list_tickets(with(token, ListTicketsRequest::default())).await.map(drop)),
        ("watch", tickets.watch_tickets(with(token, WatchTicketsRequest::default())).await.map(drop)),
        ("legacy", legacy.get_ticket(legacy_get).await.map(drop)),
        ("plan", dispatch.list_plan_tickets(plan).await.map(drop)),
        ("offset", dispatch.get_offset(with(token, GetOffsetRequest { agent_id: agent() })).await.map(drop)),
        ("heartbeat", registry.heartbeat(with(token, beat)).await.map(drop)),
        ("agent", registry.get_agent(with(token, GetAgentRequest { agent_id: agent() })).await.map(drop)),
        ("agents", registry.list_agents(with(token, ListAgentsRequest::default())).await.map(drop)),
        ("found", registry.discover_agents(with(token, DiscoverRequest::default())).await.map(drop)),
        ("news", registry.watch_agents(with(token, WatchAgentsRequest::default())).await.map(drop)),
        ("flow", {
            let request = with(token, GetWorkflowRequest { workflow_id: workflow() });
            orchestration.get_workflow(request).await.map(drop)
        }),
        ("follow", {
            let request = with(token, WatchWorkflowRequest { workflow_id: workflow() });
            orchestration.watch_workflow(request).await.map(drop)
        }),
    ]
}

#[test]
fn a_ticket_token_sees_its_ticket_and_nothing_else() {
    let data = temporary();
    // Tokens are made so that this process, which is told what they have to say, takes them.
    let hive = guarded(up(data.path())).env("GRPC__SERVER__AUTH__ISSUER", "the-issuer");
    let up = Up::of(hive.env("GRPC__SERVER__AUTH__AUDIENCE", "the-audience"));
    let claims = json!({"sub": "service", "iss": "the-issuer", "aud": "the-audience"});
    let service = hive_it::token(SECRET, &claims);
    let runtime = Runtime::new().expect("threads");
    let token = runtime.block_on(async {
        let channel = Channel::connect(up.tickets_address()).await.expect("the tickets listen");
        for id in ["t-1", "t-2"] {
            client(&channel).create_ticket(with(&service, ticket(id))).await.expect("created");
        }
        let asked = with(&service, TokenRequest { ticket_id: "t-1".to_owned() });
        let token = client(&channel).generate_token(asked).await.expect("a token").into_inner().token;
        for (what, answer) in asked_over_grpc(&up, &token).await {
            match answer {
                Ok(()) => assert_eq!(what, "own", "is not for it"),
                Err(refused) => assert_eq!(refused.code(), Code::PermissionDenied, "{what}: {refused:?}"),
            }
        }
        for (what, answer) in asked_over_grpc(&up, &service).await {
            let denied = answer.is_err_and(|status| status.code() == Code::PermissionDenied);
            assert!(!denied, "a service may: {what}");
        }
        token
    });
    let asked = |path: &str, token: &str| up.send("GET", path, Some(token), None);
    for path in ["/api/v1/tickets/t-1", "/api/v1/tickets/t-1/history"] {
        assert_eq!(asked(path, &token).0, 200, "{path}");
    }
    for path in [
        "/api/v1/tickets",
        "/api/v1/tickets/t-2",
        "/api/v1/tickets/t-2/history",
        "/api/v1/tickets/t-1/dependencies",
        "/api/v1/tickets/t-1/token",
        "/api/v1/tickets/by-plan/p",
        "/api/v1/workflows/orchestration-p",
    ] {
        let (status, body) = asked(path, &token);
        assert_eq!(status, 403, "{path}: {body}");
        assert_ne!(asked(path, &service).0, 403, "{path}");
    }
    let plans = json!({"plan_ids": ["p"]});
    assert_eq!(up.send("POST", "/api/v1/tickets/by-plans", Some(&token), Some(&plans)).0, 403);
    let query = json!({"query_name": "get_status"});
    let path = "/api/v1/workflows/orchestration-p/query";
    assert_eq!(up.send("POST", path, Some(&token), Some(&query)).0, 403);
    let _ = up.end().exits_with(0);
}

/// Certificates say who calls over gRPC; REST shows none, so nobody is let in there.
#[test]
fn rest_is_closed_where_only_certificates_tell_who_calls() {
    let (data, folder) = (temporary(), temporary());
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["tickets.test".to_owned()]).expect("parameters");
    let certificate = certificate.self_signed(&key).expect("a certificate").pem();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a path as text").to_owned()
    };
    let (certificate, key) = (file("own.pem", certificate), file("own.key", key.serialize_pem()));
    let up = Up::of(
        up(data.path())
            .env("GRPC__SERVER__AUTH__MODE", "required")
            .env("GRPC__SERVER__TLS__CERT", &certificate)
            .env("GRPC__SERVER__TLS__KEY", &key)
            .env("GRPC__SERVER__TLS__CLIENT_CA", &certificate),
    );
    assert_eq!(up.get("/api/v1/tickets").0, 401);
    assert_eq!(up.send("GET", "/api/v1/tickets", Some(&service_token()), None).0, 401);
    assert_eq!(up.send("POST", "/api/v1/workflows/start", None, Some(&json!({}))).0, 401);
    assert_eq!(up.get("/health").0, 200);
    let _ = up.end().exits_with(0);
}

/// Answers everyone with a key set, until its process ends.
fn publish(keys: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/keys")
}

#[test]
fn rest_takes_tokens_of_keys_that_are_fetched() {
    let data = temporary();
    let url = publish(key_set(&["a"]));
    let up = Up::of(
        up(data.path()).env("GRPC__SERVER__AUTH__MODE", "required").env("GRPC__SERVER__AUTH__JWKS_URL", &url),
    );
    assert_eq!(up.send("GET", "/api/v1/tickets", Some(&token_of("a", "service")), None).0, 200);
    assert_eq!(up.send("GET", "/api/v1/tickets", Some(&token_of("b", "service")), None).0, 401);
    assert_eq!(up.get("/api/v1/tickets").0, 401);
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
