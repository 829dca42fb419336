//! Health and reflection, as tools and probes ask for them.

use futures_util::stream;
use hive_grpc_kit::health::proto::{
    HealthCheckRequest, HealthListRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use prost::Message as _;
use prost_types::FileDescriptorProto;
use serde_json::json;
use tonic::Code;
use tonic_reflection::pb::{v1, v1alpha};

use super::{Over, over_both};

const ECHO: &str = "kit.test.v1.Echo";
const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    ECHO,
];

fn check(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn health_is_checked_listed_and_watched(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = HealthClient::new(served.channel.clone());
    let mut listed = client.list(HealthListRequest {}).await.expect("a list").into_inner().statuses;
    let mut names: Vec<_> = listed.drain().map(|(name, status)| (name, status.status())).collect();
    names.sort();
    let serving = ServingStatus::Serving;
    assert_eq!(names, [(String::new(), serving), (ECHO.to_owned(), serving)]);
    let mut watch = client.watch(check(ECHO)).await.expect("a stream").into_inner();
    let mut next = async || watch.message().await.expect("a message").expect("not the end").status();
    assert_eq!(next().await, serving);
    let database = served.health.dependency_of("database", [ECHO]);
    assert_eq!(next().await, ServingStatus::NotServing);
    for service in ["", ECHO] {
        let status = client.check(check(service)).await.expect("known").into_inner().status();
        assert_eq!(status, ServingStatus::NotServing, "{service}");
    }
    database.up();
    assert_eq!(next().await, serving);
    assert_eq!(client.check(check("no.Such")).await.expect_err("unknown").code(), Code::NotFound);
    drop((client, watch));
    served.end().await;
}

/// The questions tools ask, in either version of the protocol, which differ in their package alone.
macro_rules! reflection {
    ($name:ident, $version:ident) => {
        async fn $name(over: Over) {
            use $version::{
                ErrorResponse, ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest as Ask,
                server_reflection_response::MessageResponse as Answer,
            };
            let served = over.serve(json!({})).await;
            let mut client = ServerReflectionClient::new(served.channel.clone());
            let symbols = [ECHO, "kit.test.v1.Echo.Bidi", "kit.test.v1.EchoRequest", "grpc.health.v1.Health"];
            let questions: Vec<_> = [Ask::ListServices(String::new())]
                .into_iter()
                .chain(symbols.map(|symbol| Ask::FileContainingSymbol(symbol.to_owned())))
                .chain([Ask::FileByFilename("echo.proto".to_owned())])
                .chain([Ask::FileContainingSymbol("no.Such".to_owned())])
                .map(|ask| ServerReflectionRequest { host: String::new(), message_request: Some(ask) })
                .collect();
            let asked = questions.len();
            let answers = client.server_reflection_info(stream::iter(questions)).await.expect("a stream");
            let mut answers = answers.into_inner();
            let mut said = Vec::new();
            let end = loop {
                match answers.message().await {
                    Ok(Some(answer)) => said.push(answer.message_response.expect("a response")),
                    Ok(None) => break Code::Ok,
                    Err(status) => break status.code(),
                }
            };
            let Some(Answer::ListServicesResponse(list)) = said.first() else { panic!("{said:?}") };
            let mut names: Vec<_> = list.service.iter().map(|service| service.name.clone()).collect();
            names.sort();
            assert_eq!(names, SERVICES);
            for (answer, symbol) in said[1..].iter().zip(symbols.into_iter().chain([ECHO])) {
                let Answer::FileDescriptorResponse(files) = answer else { panic!("{symbol}: {answer:?}") };
                let file = FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).expect("a file");
                assert!(symbol.starts_with(file.package()), "{symbol} is not in {}", file.name());
            }
            // What is not there is either said in an answer, or ends the stream.
            match said.get(asked - 1) {
                Some(Answer::ErrorResponse(ErrorResponse { error_code, .. })) => {
                    assert_eq!((*error_code, end), (Code::NotFound as i32, Code::Ok));
                }
                Some(other) => panic!("{other:?}"),
                None => assert_eq!(end, Code::NotFound),
            }
            drop((client, answers));
            served.end().await;
        }
    };
}

reflection!(reflection_answers_its_present_version, v1);
reflection!(reflection_answers_its_former_version, v1alpha);

over_both!(
    health_is_checked_listed_and_watched,
    reflection_answers_its_present_version,
    reflection_answers_its_former_version,
);
