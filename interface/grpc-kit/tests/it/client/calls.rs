//! Calls that work, and what they carry.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, stream};
use hive_grpc_kit::{
    client::{ClientFactory, HANDLED, RECEIVED, SENT, STARTED},
    stub,
    testing::{Recorded, TEST_SECRET, token},
};
use serde_json::json;
use tonic::{Code, Request};

use super::backend::{Backend, client, factory};
use crate::servicer::{DESCRIPTOR, EchoClient, EchoRequest, Running, ask};

#[tokio::test]
async fn all_four_kinds_of_calls_pass() {
    let backend = Backend::echo().await;
    let mut client = client(&backend.url(), &json!({}));
    assert_eq!(client.unary(ask("a")).await.expect("an answer").into_inner().text, "a");
    let texts = || stream::iter(["a", "b", "c"].map(ask));
    assert_eq!(client.client_stream(texts()).await.expect("an answer").into_inner().text, "a,b,c");
    let mut replies = client.server_stream(ask("x")).await.expect("a stream").into_inner();
    assert_eq!(replies.message().await.expect("a message").expect("the first").text, "");
    assert_eq!(replies.message().await.expect("a message").expect("the second").text, "x");
    assert!(replies.message().await.expect("the end").is_none());
    let mut replies = client.bidi(texts()).await.expect("a stream").into_inner();
    for text in ["a", "b", "c"] {
        assert_eq!(replies.message().await.expect("a message").expect("a reply").text, text);
    }
    assert!(replies.message().await.expect("the end").is_none());
    backend.drain().await;
}

#[tokio::test]
async fn calls_are_spread_over_the_connections() {
    let running = Running::start(json!({})).await;
    let url = format!("http://{}", running.address);
    let client = client(&url, &json!({"connections": 3}));
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(ask("a")).await })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("an answer");
    }
    let log = running.log();
    let peers: std::collections::HashSet<_> = log.iter().map(|line| line["peer"].to_string()).collect();
    assert!((2..=3).contains(&peers.len()), "{peers:?}");
    running.end().await;
}

#[tokio::test]
async fn the_deadline_reaches_the_server_and_ends_the_call() {
    let running = Running::start(json!({})).await;
    let settings = json!({"max_retries": 0, "deadline_margin_ms": 50});
    let mut client = client(&format!("http://{}", running.address), &settings);
    let mut request = Request::new(ask("wait"));
    request.set_timeout(Duration::from_millis(500));
    let status = client.unary(request).await.expect_err("too late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    running.gate.one_was_dropped().await;
    // The server gave up first, by the margin, so its own answer arrived.
    let logged = async {
        while !running.log().iter().any(|line| line["status"] == "DEADLINE_EXCEEDED") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), logged).await.expect("the server's line");
    running.end().await;
}

#[tokio::test]
async fn the_configured_timeout_is_for_calls_with_one_answer() {
    let running = Running::start(json!({})).await;
    let mut client =
        client(&format!("http://{}", running.address), &json!({"default_timeout": 0.1, "max_retries": 0}));
    let request = EchoRequest { text: "stubborn".into(), count: 1 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    assert_eq!(client.unary(ask("wait")).await.expect_err("too late").code(), Code::DeadlineExceeded);
    // It is older than the call that has just run out of time.
    assert!(replies.message().now_or_never().is_none(), "the stream goes on");
    drop(replies);
    running.end().await;
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let running = Running::start(json!({})).await;
    let mut client = client(&format!("http://{}", running.address), &json!({}));
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    call.abort();
    running.gate.one_was_dropped().await;
    running.end().await;
}

#[tokio::test]
async fn the_token_identifies_the_caller() {
    let secret = std::str::from_utf8(TEST_SECRET).expect("text");
    let running = Running::start(json!({"auth": {"mode": "required", "jwt_secret": secret}})).await;
    let url = format!("http://{}", running.address);
    let mut known = client(&url, &json!({"auth": {"token": token("alice", &[])}}));
    assert_eq!(known.unary(ask("a")).await.expect("an answer").into_inner().principal, "alice");
    let status = client(&url, &json!({})).unary(ask("a")).await.expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated);
    running.end().await;
}

#[tokio::test]
async fn attempts_and_messages_are_counted() {
    let backend = Backend::echo().await;
    let recorded = Recorded::default();
    let factory: ClientFactory = factory(&json!({}));
    let channel = recorded.install(|| factory.channel(&backend.url())).expect("a channel");
    let mut client = stub!(EchoClient, channel);
    client.unary(ask("a")).await.expect("an answer");
    client.client_stream(stream::iter(["a", "b"].map(ask))).await.expect("an answer");
    assert_eq!(recorded.value(STARTED, &[]), Some(2.0));
    let labels = [("grpc_service", "kit.test.v1.Echo"), ("grpc_code", "OK")];
    assert_eq!(recorded.value(HANDLED, &labels), Some(2.0));
    assert_eq!(recorded.value(SENT, &[("grpc_method", "ClientStream")]), Some(2.0));
    assert_eq!(recorded.value(RECEIVED, &[]), Some(2.0));
    backend.drain().await;
}

#[tokio::test]
async fn messages_are_bounded_both_ways() {
    let running = Running::start(json!({"max_message_size": 100_000})).await;
    let mut client = client(&format!("http://{}", running.address), &json!({"max_message_size": 2048}));
    let status = client.unary(ask(&"x".repeat(4096))).await.expect_err("too large to send");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let status = client.unary(ask("size 4096")).await.expect_err("too large to receive");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    client.unary(ask("size 1024")).await.expect("small enough");
    running.end().await;
}

#[tokio::test]
async fn what_is_called_on_behalf_of_a_call_ends_with_it() {
    let running = Running::start(json!({})).await;
    let client = client(&format!("http://{}", running.address), &json!({"max_retries": 0}));
    let mut served = http::Request::builder()
        .header("grpc-timeout", "100m")
        .header("x-correlation-id", "outer-1")
        .body(())
        .expect("a request");
    let mut methods = hive_grpc_kit::methods::Methods::empty();
    methods.add_all(DESCRIPTOR).expect("a descriptor");
    let methods = Arc::new(methods);
    let call = hive_grpc_kit::call::Call::enter(&mut served, &methods);
    // The server's own layer reads the time of the call.
    let layer = hive_grpc_kit::layer::deadline::DeadlineLayer::new(Arc::clone(&methods), None, None);
    let inner = tower::service_fn(move |_: http::Request<()>| {
        let (mut client, call) = (client.clone(), Arc::clone(&call));
        async move {
            let answer = call.scope(client.unary(ask("wait"))).await;
            Ok::<_, std::convert::Infallible>(http::Response::new(format!(
                "{:?}",
                answer.map_err(|s| s.code())
            )))
        }
    });
    let _ = tower::ServiceExt::oneshot(tower::Layer::layer(&layer, inner), served).await;
    running.gate.one_was_dropped().await;
    assert!(running.log().iter().any(|line| line["correlation_id"] == "outer-1"));
    running.end().await;
}

#[tokio::test]
async fn messages_are_compressed_when_both_sides_want_it() {
    for kind in ["gzip", "zstd"] {
        let limits = json!({"compression": kind, "max_message_size": 10_000});
        let running = Running::start(limits.clone()).await;
        let url = format!("http://{}", running.address);
        let mut packed = client(&url, &limits);
        // 9,000 bytes that repeat: were they sent as they are, 10,000 would be near, but 40,000 is too large unpacked.
        assert_eq!(
            packed.unary(ask(&"x".repeat(9_000))).await.expect("an answer").into_inner().text.len(),
            9_000
        );
        let status = packed.unary(ask(&"x".repeat(40_000))).await.expect_err("too large unpacked");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let answer = packed.unary(ask("size 9000")).await.expect("an answer");
        assert_eq!(answer.metadata().get("grpc-encoding").expect("packed"), kind);
        let status = packed.unary(ask("size 40000")).await.expect_err("too large unpacked");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        // Who does not ask for it gets messages as they are.
        let plain = client(&url, &json!({})).unary(ask("a")).await.expect("an answer");
        assert!(!plain.metadata().contains_key("grpc-encoding"));
        running.end().await;
    }
}

#[tokio::test]
async fn a_server_without_compression_says_so() {
    let running = Running::start(json!({})).await;
    let mut packed = client(&format!("http://{}", running.address), &json!({"compression": "gzip"}));
    assert_eq!(packed.unary(ask("a")).await.expect_err("refused").code(), Code::Unimplemented);
    running.end().await;
}
