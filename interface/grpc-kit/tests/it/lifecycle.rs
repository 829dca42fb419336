//! The end of a server: drained within bounds, or cut off.

use std::time::Duration;

use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::testing::Channel;
use serde_json::json;
use tokio::net::TcpListener;
use tonic::Code;

use crate::servicer::{EchoRequest, Running, ask, builder};

#[tokio::test]
async fn what_runs_when_it_drains_finishes() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    let mut streaming = client.clone();
    let mut replies = streaming
        .server_stream(EchoRequest { text: "wait".into(), count: 1 })
        .await
        .expect("a stream")
        .into_inner();
    replies.message().await.expect("a message").expect("the first");
    running.gate.one_waits().await;
    let unary = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    running.shutdown.drain();
    while Channel::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    running.gate.open.add_permits(2);
    unary.await.expect("no panic").expect("an answer");
    replies.message().await.expect("a message").expect("the last");
    assert!(replies.message().await.expect("the end").is_none());
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn endless_streams_end_by_themselves() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    let request = EchoRequest { text: "endless".into(), count: 1 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    running.shutdown.drain();
    assert_eq!(replies.message().await.expect_err("the end").code(), Code::Unavailable);
    assert_eq!(running.end().await.cut_off, 0);
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_up_the_end() {
    let running = Running::start(json!({"shutdown": {"drain_ms": 3_600_000}})).await;
    let silent = tokio::net::TcpStream::connect(running.address).await.expect("a connection");
    // Connections are accepted in order: when a later one answers, the silent one was accepted.
    running.client().await.unary(ask("a")).await.expect("an answer");
    assert_eq!(running.end().await.cut_off, 0);
    drop(silent);
}

#[tokio::test]
async fn stubborn_streams_are_cut_off_at_the_deadline() {
    let running = Running::start(json!({"shutdown": {"drain_ms": 30}})).await;
    let mut client = running.client().await;
    let request = EchoRequest { text: "stubborn".into(), count: 1 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    assert_eq!(running.end().await.cut_off, 1);
    replies.message().await.expect_err("cut off");
}

#[tokio::test]
async fn the_second_step_does_not_wait() {
    let running = Running::start(json!({"shutdown": {"drain_ms": 3_600_000}})).await;
    let mut client = running.client().await;
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    running.shutdown.advance();
    running.shutdown.advance();
    running.gate.one_was_dropped().await;
    assert!(call.await.expect("no panic").is_err());
    assert_eq!(running.end().await.cut_off, 1);
}

#[tokio::test]
async fn a_server_that_is_not_enabled_opens_no_socket_and_waits_for_the_end() {
    // A server that wanted it would fail.
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port();
    for enabled in [true, false] {
        let config = Config { enabled, port, ..Config::default() };
        let server = builder(config, Environment::Development).0.build().expect("a server");
        let shutdown = Shutdown::new();
        shutdown.drain();
        assert_eq!(server.bind_and_serve(&shutdown).await.is_ok(), !enabled);
    }
}

#[tokio::test]
async fn an_aged_connection_is_closed_without_losing_its_call() {
    let running = Running::start(json!({"connection": {"max_age_ms": 500}})).await;
    let channel = running.channel().await;
    let mut client = crate::servicer::EchoClient::new(channel.clone());
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    // Later connections age as well, so one that is closed proves that time enough has passed for the first.
    let later = running.channel().await;
    closed(&later).await;
    running.gate.open.add_permits(1);
    call.await.expect("no panic").expect("an answer");
    closed(&channel).await;
    running.end().await;
}

async fn closed(channel: &Channel) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while !channel.is_closed() {
        ticks.tick().await;
    }
}
