//! What nobody may take without end, and what is not taken for what it is not.

use futures_util::{StreamExt as _, stream};
use hive_grpc_kit::{
    health::{
        self,
        proto::{
            HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
            health_check_response::ServingStatus,
            health_client::HealthClient,
            health_server::{Health, HealthServer},
        },
    },
    server::config::{Config, Environment},
    servicer,
    testing::{Channel, TEST_SECRET},
};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, body::Body};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::servicer::{Running, ask, builder};

fn config(value: Value) -> Config {
    serde_json::from_value(value).expect("settings")
}

async fn status(channel: &mut Channel, request: http::request::Builder) -> http::StatusCode {
    let request = request.body(Body::empty()).expect("a request");
    tower::Service::call(channel, request).await.expect("an answer").status()
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so_whoever_asks_and_however_full_it_is() {
    let auth = json!({"mode": "required", "jwt_secret": String::from_utf8_lossy(TEST_SECRET)});
    let guarded = Running::start(json!({"auth": auth})).await;
    let full = Running::start(json!({"max_concurrent_rpcs": 1})).await;
    let mut client = full.client().await;
    let waiting = tokio::spawn(async move { client.unary(ask("wait")).await });
    full.gate.one_waits().await;
    for running in [&guarded, &full] {
        let mut channel = running.channel().await;
        for request in [
            http::Request::get("/"),
            http::Request::post("/kit.test.v1.Echo/Unary").header("content-type", "application/json"),
            http::Request::post("/kit.test.v1.Echo/Unary").header("content-type", "application/grpc+json"),
            http::Request::get("/grpc.health.v1.Health/Check").header("content-type", "application/grpc"),
        ] {
            assert_eq!(status(&mut channel, request).await, http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }
    full.gate.open.add_permits(1);
    waiting.await.expect("no panic").expect("an answer");
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_and_one_with_a_call_is_not() {
    let running = Running::start(json!({"connection": {"max_idle_ms": 100}})).await;
    let silent = running.channel().await;
    let mut client = running.client().await;
    let call = tokio::spawn(async move {
        client.unary(ask("wait")).await.expect("an answer");
        client
    });
    running.gate.one_waits().await;
    crate::until(|| silent.is_closed()).await;
    let used = running.channel().await;
    crate::servicer::EchoClient::new(used.clone()).unary(ask("a")).await.expect("an answer");
    crate::until(|| used.is_closed()).await;
    running.gate.open.add_permits(1);
    call.await.expect("it was never closed");
    running.end().await;
}

#[tokio::test]
async fn a_tool_that_keeps_reflection_open_does_not_hold_up_the_end() {
    let running = Running::start(json!({"shutdown": {"drain_ms": 3_600_000}})).await;
    let mut client = ServerReflectionClient::new(running.channel().await);
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let questions = stream::iter([list]).chain(stream::pending());
    let mut answers = client.server_reflection_info(questions).await.expect("a stream").into_inner();
    answers.message().await.expect("a message").expect("an answer");
    running.shutdown.drain();
    assert!(answers.message().await.expect("a clean end").is_none());
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn a_watch_lasts_as_long_as_its_caller_says() {
    let running = Running::start(json!({})).await;
    let mut client = HealthClient::new(running.channel().await);
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("grpc-timeout", "50m".parse().expect("a value"));
    let mut watch = client.watch(request).await.expect("a stream").into_inner();
    watch.message().await.expect("a message").expect("the first");
    assert_eq!(watch.message().await.expect_err("too late").code(), tonic::Code::DeadlineExceeded);
}

/// A team's own.
struct Own;

#[tonic::async_trait]
impl Health for Own {
    type WatchStream = stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Ok(Response::new(HealthListResponse::default()))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(stream::pending()))
    }
}

#[tokio::test]
async fn where_the_kit_has_none_a_health_service_of_its_own_is_served() {
    let running = Running::start_with(json!({"health_check_enabled": false}), |builder| {
        builder.register(servicer!(HealthServer, Own), health::DESCRIPTOR)
    })
    .await;
    let mut client = HealthClient::new(running.channel().await);
    let answer = client.check(HealthCheckRequest::default()).await.expect("an answer").into_inner();
    assert_eq!(answer.status(), ServingStatus::ServiceUnknown);
}

#[test]
fn a_dependency_of_what_is_not_there_is_found() {
    let (builder, _) = builder(config(json!({})), Environment::Development);
    let dependency = builder.health().dependency_of("database", ["kit.test.v1.Ehco"]);
    dependency.up();
    let error = builder.build().expect_err("a slip of the pen").to_string();
    assert!(error.contains("kit.test.v1.Ehco"), "{error}");
}
