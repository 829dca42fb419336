//! Health and reflection: they follow what is registered, and no full server refuses them.

use futures_util::stream;
use hive_grpc_kit::{
    health::proto::{
        HealthCheckRequest, HealthListRequest, health_check_response::ServingStatus,
        health_client::HealthClient,
    },
    testing::{TEST_SECRET, token},
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_reflection::pb::{v1, v1alpha};

use crate::servicer::{Running, ask};

const ECHO: &str = "kit.test.v1.Echo";

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_follows_dependencies_and_the_shutdown() {
    let running = Running::start(json!({})).await;
    let mut client = HealthClient::new(running.channel().await);
    let all = client.list(HealthListRequest {}).await.expect("a list").into_inner().statuses;
    assert_eq!(all.len(), 2);
    let unknown = client.check(check("no.Such")).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    let mut unknown = client.watch(check("no.Such")).await.expect("a stream").into_inner();
    let first = unknown.message().await.expect("a message").expect("the first");
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);

    let mut watch = client.watch(check(ECHO)).await.expect("a stream").into_inner();
    let mut next = async || watch.message().await.map(|message| message.expect("not the end").status());
    assert_eq!(next().await.expect("a status"), ServingStatus::Serving);
    let database = running.health.dependency_of("database", [ECHO]);
    assert_eq!(next().await.expect("a status"), ServingStatus::NotServing);
    let overall = client.check(check("")).await.expect("known").into_inner();
    assert_eq!(overall.status(), ServingStatus::NotServing);
    database.up();
    assert_eq!(next().await.expect("a status"), ServingStatus::Serving);
    drop(client);
    running.shutdown.drain();
    let mut last = Ok(ServingStatus::Serving);
    while last.is_ok() {
        last = next().await;
    }
    assert_eq!(last.expect_err("the end").code(), Code::Unavailable);
    assert_eq!(unknown.message().await.expect_err("the end").code(), Code::Unavailable);
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn probes_pass_a_server_that_is_full_and_wants_tokens() {
    let secret = "a secret of at least thirty-two bytes";
    let auth = json!({"mode": "required", "jwt_secret": secret});
    let running = Running::start(json!({"max_concurrent_rpcs": 1, "auth": auth})).await;
    let mut client = running.client().await;
    assert_eq!(client.unary(ask("a")).await.expect_err("no token").code(), Code::Unauthenticated);
    let mut probe = HealthClient::new(running.channel().await);
    let status = probe.check(check("")).await.expect("an answer").into_inner();
    assert_eq!(status.status(), ServingStatus::Serving);
    drop(services_v1(&running).await);
}

#[tokio::test]
async fn reflection_wants_a_token_where_the_settings_say_so() {
    let secret = String::from_utf8_lossy(TEST_SECRET);
    let auth = json!({"mode": "required", "jwt_secret": secret, "failures_per_minute": 2});
    let running = Running::start(json!({"reflection_auth": "required", "auth": auth})).await;
    let missing = ask_services_v1(&running, None).await.expect_err("no token");
    assert_eq!(missing.code(), Code::Unauthenticated);
    let listed = ask_services_v1(&running, Some(&token("alice", &[]))).await.expect("a list");
    assert!(listed.contains(&ECHO.to_owned()));
    let mut probe = HealthClient::new(running.channel().await);
    probe.check(check("")).await.expect("probes need none");
    // What fails here has failed at the services, too.
    for _ in 0..2 {
        let wrong = ask_services_v1(&running, Some("x.y.z")).await.expect_err("not valid");
        assert_eq!(wrong.code(), Code::Unauthenticated);
    }
    let mut request = tonic::Request::new(ask("a"));
    request.metadata_mut().insert("authorization", "Bearer x.y.z".parse().expect("a value"));
    let refused = running.client().await.unary(request).await.expect_err("too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    running.end().await;
}

async fn services_v1(running: &Running) -> Vec<String> {
    ask_services_v1(running, None).await.expect("a list")
}

async fn ask_services_v1(running: &Running, token: Option<&str>) -> Result<Vec<String>, Status> {
    use v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let channel = running.channel().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let mut questions = tonic::Request::new(stream::iter([request]));
    if let Some(token) = token {
        let bearer = format!("Bearer {token}");
        questions.metadata_mut().insert("authorization", bearer.parse().expect("a value"));
    }
    let answers = client.server_reflection_info(questions).await?;
    let answer = answers.into_inner().message().await?.expect("an answer");
    Ok(match answer.message_response.expect("a response") {
        v1::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => unreachable!("asked for a list, got {other:?}"),
    })
}

#[tokio::test]
async fn reflection_lists_exactly_what_is_mounted() {
    let running = Running::start(json!({})).await;
    let mut names = services_v1(&running).await;
    names.sort();
    let mounted = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        ECHO,
    ];
    assert_eq!(names, mounted);
}

#[tokio::test]
async fn older_clients_find_the_files_of_what_is_mounted() {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let running = Running::start(json!({})).await;
    let mut client = ServerReflectionClient::new(running.channel().await);
    let details = "google.rpc.ErrorInfo";
    for symbol in [ECHO, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", details] {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::FileContainingSymbol(symbol.to_owned())),
        };
        let answers = client.server_reflection_info(stream::iter([request])).await.expect("a stream");
        let answer = answers.into_inner().message().await.expect("a message").expect("an answer");
        assert!(format!("{:?}", answer.message_response).contains("FileDescriptorResponse"), "{symbol}");
    }
}

#[tokio::test]
async fn both_can_be_switched_off() {
    let running = Running::start(json!({"reflection_enabled": false, "health_check_enabled": false})).await;
    let mut health = HealthClient::new(running.channel().await);
    assert_eq!(health.check(check("")).await.expect_err("off").code(), Code::Unimplemented);
    let mut reflection = v1::server_reflection_client::ServerReflectionClient::new(running.channel().await);
    let answer = reflection.server_reflection_info(stream::empty()).await;
    assert_eq!(answer.expect_err("off").code(), Code::Unimplemented);
}
