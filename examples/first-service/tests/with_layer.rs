//! The layer alone, and around the servicer.

use std::convert::Infallible;
use std::future::pending;

use first_service::proto::my_service_client::MyServiceClient;
use first_service::proto::my_service_server::MyServiceServer;
use first_service::proto::{DESCRIPTOR, ListResourcesRequest};
use first_service::servicer::Servicer;
use futures_util::FutureExt as _;
use hive_grpc_kit::failure::{Failure, Kind};
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::server::layered::layered;
use hive_grpc_kit::servicer;
use hive_grpc_kit::testing::InMemory;
use http::{Request, Response};
use tonic::Code;
use tonic_types::StatusExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

#[path = "../examples/with_layer/per_caller.rs"]
mod per_caller;

use per_caller::{HeldBody, PerCallerLayer};

/// Calls without an address are all of one caller.
async fn answer(layer: &PerCallerLayer) -> Result<Response<HeldBody<String>>, Failure> {
    let service =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("body".to_owned())) });
    layer.layer(service).oneshot(Request::new(())).await
}

#[tokio::test]
async fn a_place_is_held_until_the_body_is_gone() {
    let layer = PerCallerLayer::new(1);
    let first = answer(&layer).await.expect("admitted");
    let refused = answer(&layer).await.expect_err("too many");
    assert_eq!((refused.kind(), refused.reason()), (Kind::Overloaded, "TOO_MANY_OF_YOURS"));
    drop(first);
    answer(&layer).await.expect("free again");
}

#[tokio::test]
async fn a_dropped_call_frees_its_place() {
    let layer = PerCallerLayer::new(1);
    let service = service_fn(|_: Request<()>| pending::<Result<Response<String>, Infallible>>());
    let mut call = Box::pin(layer.layer(service).oneshot(Request::new(())));
    assert!(call.as_mut().now_or_never().is_none());
    assert!(answer(&layer).await.is_err());
    drop(call);
    answer(&layer).await.expect("free again");
}

#[tokio::test]
async fn it_stands_around_the_servicer() {
    let servicer = servicer!(MyServiceServer, Servicer::new([("1", "one"), ("2", "two")]));
    let server = ServerBuilder::new(Config::default(), Environment::Development)
        .register(layered(&PerCallerLayer::new(1), servicer), DESCRIPTOR)
        .build()
        .expect("a server");
    let running = InMemory::start(server).await.expect("a connection");
    let mut client = MyServiceClient::new(running.channel.clone());
    // Sent at once, and only one may run: the other is told to come back, in a status like any other.
    let mut other = client.clone();
    let list = || ListResourcesRequest { page_size: 0 };
    let (first, second) = tokio::join!(client.list_resources(list()), other.list_resources(list()));
    let refused = second.map(|_| ()).expect_err("too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("error info").reason, "TOO_MANY_OF_YOURS");
    assert_eq!(details.error_info().expect("error info").domain, "myservice.MyService");
    assert!(details.retry_info().is_some() && details.request_info().is_some());
    let mut all = first.expect("a stream").into_inner();
    while all.message().await.expect("a resource").is_some() {}
    drop((client, other, all));
    assert_eq!(running.end().await.expect("no panic").cut_off, 0);
}
