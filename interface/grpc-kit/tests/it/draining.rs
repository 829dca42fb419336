//! What clients see of a server that ends: nothing is lost that was on its way, and nothing is left behind.

use hive_grpc_kit::{
    health::{
        ServingStatus,
        proto::{
            HealthCheckRequest, health_check_response::ServingStatus as Wire, health_client::HealthClient,
        },
    },
    layer::metrics,
    testing::Channel,
};
use serde_json::json;
use tokio::net::TcpStream;
use tonic::Code;

use crate::servicer::{EchoClient, EchoRequest, Running, ask};

/// A connection that is made without the server's having a chance to take it: the test's runtime has one thread.
fn waiting(running: &Running) -> TcpStream {
    let stream = std::net::TcpStream::connect(running.address).expect("a connection");
    stream.set_nonblocking(true).expect("a socket");
    TcpStream::from_std(stream).expect("a socket")
}

#[tokio::test]
async fn who_connected_before_the_end_is_answered() {
    let running = Running::start(json!({})).await;
    running.client().await.unary(ask("a")).await.expect("an answer");
    let waiting = [waiting(&running), waiting(&running)];
    running.shutdown.drain();
    for stream in waiting {
        let channel = Channel::over(stream).await.expect("HTTP/2");
        EchoClient::new(channel).unary(ask("a")).await.expect("an answer");
    }
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn a_watcher_hears_of_the_end_before_it_comes() {
    let running = Running::start(json!({})).await;
    let mut client = HealthClient::new(running.channel().await);
    let watch = client.watch(HealthCheckRequest::default()).await.expect("a stream");
    let mut watch = watch.into_inner();
    running.shutdown.drain();
    let mut seen = Vec::new();
    let end = loop {
        match watch.message().await {
            Ok(status) => seen.push(status.expect("no end without a status").status()),
            Err(end) => break end,
        }
    };
    assert_eq!((seen.last(), end.code()), (Some(&Wire::NotServing), Code::Unavailable));
    running.end().await;
}

#[tokio::test]
async fn a_lame_duck_serves_until_its_time_is_up_or_it_is_stopped() {
    let running = Running::start(json!({"shutdown": {"lame_duck_ms": 3_600_000}})).await;
    let mut old = running.client().await;
    old.unary(ask("a")).await.expect("an answer");
    running.shutdown.drain();
    crate::until(|| running.health.status("") == Some(ServingStatus::NotServing)).await;
    old.unary(ask("a")).await.expect("still served");
    running.client().await.unary(ask("a")).await.expect("so are new ones");
    running.shutdown.stop();
    running.end().await;

    let running = Running::start(json!({"shutdown": {"lame_duck_ms": 20}})).await;
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn calls_that_are_cut_off_are_over_and_counted_when_the_server_has_ended() {
    let mut running = Running::start(json!({})).await;
    let mut client = running.client().await;
    let mut streaming = client.clone();
    let request = EchoRequest { text: "stubborn".into(), count: 1 };
    let mut replies = streaming.server_stream(request).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    running.shutdown.stop();
    assert_eq!((&mut running.server).await.expect("no panic").cut_off, 1);
    assert_eq!(running.gate.dropped.available_permits(), 1);
    assert_eq!(running.recorded.value(metrics::HANDLED, &[("grpc_code", "CANCELLED")]), Some(2.0));
    assert_eq!(running.log().iter().filter(|line| line["status"] == "CANCELLED").count(), 2);
    assert!(call.await.expect("no panic").is_err());
}
