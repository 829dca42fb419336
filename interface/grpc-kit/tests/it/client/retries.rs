//! Calls that fail and are sent again, or not.

use std::time::{Duration, Instant};

use futures_util::stream;
use hive_grpc_kit::failure::{Failure, Kind};
use serde_json::json;
use tonic::{Code, Status};

use super::backend::{Backend, client};
use crate::servicer::ask;

fn unavailable() -> Option<Result<String, Status>> {
    Some(Err(Status::unavailable("not now")))
}

#[tokio::test]
async fn an_idempotent_call_succeeds_in_the_end() {
    let backend = Backend::start(|number, metadata, text| match number {
        0 | 1 => unavailable(),
        _ => {
            let before = metadata.get("grpc-previous-rpc-attempts").expect("a count");
            Some(Ok(format!("{text} after {}", before.to_str().expect("a number"))))
        }
    })
    .await;
    let mut client = client(&backend.url(), &json!({}));
    assert_eq!(client.unary(ask("a")).await.expect("an answer").into_inner().text, "a after 2");
    backend.drain().await;
}

#[tokio::test]
async fn another_call_only_when_the_server_says_that_nothing_happened() {
    let backend = Backend::start(|number, _, text| match (number, text) {
        (0, _) => unavailable(),
        (1, _) => Some(Err(Failure::new(Kind::Overloaded, "full").untouched().into())),
        _ => Some(Ok(text.to_owned())),
    })
    .await;
    let mut client = client(&backend.url(), &json!({}));
    let texts = || stream::iter(["a", "b"].map(ask));
    assert_eq!(client.client_stream(texts()).await.expect_err("once").code(), Code::Unavailable);
    assert_eq!(backend.seen(), 1);
    // The second is refused untouched, and the whole stream is sent again.
    assert_eq!(client.client_stream(texts()).await.expect("an answer").into_inner().text, "a,b");
    assert_eq!(backend.seen(), 3);
    backend.drain().await;
}

#[tokio::test]
async fn never_after_the_first_message() {
    let backend =
        Backend::start(|_, _, _| Some(Err(Failure::new(Kind::Unavailable, "not now").untouched().into())))
            .await;
    let mut client = client(&backend.url(), &json!({}));
    let mut replies = client.server_stream(ask("a")).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    assert_eq!(replies.message().await.expect_err("it breaks").code(), Code::Unavailable);
    assert_eq!(backend.seen(), 1);
    backend.drain().await;
}

#[tokio::test]
async fn the_server_pushes_back() {
    let backend = Backend::start(|number, _, text| {
        let mut status = Status::unavailable("not now");
        let wait = if text == "never" { "-1" } else { "300" };
        status.metadata_mut().insert("grpc-retry-pushback-ms", wait.parse().expect("a value"));
        if number == 0 || text == "never" { Some(Err(status)) } else { Some(Ok(String::new())) }
    })
    .await;
    let mut client = client(&backend.url(), &json!({}));
    let begin = Instant::now();
    client.unary(ask("later")).await.expect("an answer");
    assert!(begin.elapsed() >= Duration::from_millis(300));
    client.unary(ask("never")).await.expect_err("no retry");
    assert_eq!(backend.seen(), 3);
    backend.drain().await;
}

#[tokio::test]
async fn a_backend_that_fails_often_is_not_asked_much_more_often() {
    const CALLS: usize = 1000;
    let backend = Backend::start(|number, _, text| {
        // Three of ten, spread.
        if number * 3 % 10 < 3 { unavailable() } else { Some(Ok(text.to_owned())) }
    })
    .await;
    let client = client(&backend.url(), &json!({}));
    let mut succeeded = 0;
    for _ in 0..CALLS / 20 {
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.unary(ask("a")).await })
            })
            .collect();
        for call in calls {
            succeeded += usize::from(call.await.expect("no panic").is_ok());
        }
    }
    let amplification = backend.seen() as f64 / CALLS as f64;
    assert!((1.05..=1.2).contains(&amplification), "{amplification}");
    assert!(succeeded > CALLS * 75 / 100, "{succeeded} of {CALLS}");
    backend.drain().await;
}

#[tokio::test]
async fn retries_can_be_switched_off() {
    for settings in [json!({"enable_retry": false}), json!({"max_retries": 0})] {
        let backend = Backend::start(|_, _, _| unavailable()).await;
        client(&backend.url(), &settings).unary(ask("a")).await.expect_err("once");
        assert_eq!(backend.seen(), 1);
        backend.drain().await;
    }
}

#[tokio::test]
async fn a_hanging_attempt_is_given_up_for_another() {
    let backend =
        Backend::start(|number, _, text| if number == 0 { None } else { Some(Ok(text.to_owned())) }).await;
    let mut client = client(&backend.url(), &json!({"attempt_timeout": 1}));
    assert_eq!(client.unary(ask("a")).await.expect("an answer").into_inner().text, "a");
    assert_eq!(backend.seen(), 2);
    backend.drain().await;
}

/// A server that refuses the first stream of every connection, and answers the others with an empty message.
async fn refusing(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            let mut refused = false;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if !refused {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    refused = true;
                    continue;
                }
                let head = http::Response::builder().header("content-type", "application/grpc");
                let mut body = respond.send_response(head.body(()).expect("a head"), false).expect("sent");
                body.send_data(vec![0; 5].into(), false).expect("sent");
                // No base64: a client that trusted it would panic.
                let trailers = [("grpc-status", "0"), ("grpc-status-details-bin", "!")];
                let trailers = trailers.map(|(name, value)| {
                    (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
                });
                body.send_trailers(trailers.into_iter().collect()).expect("sent");
            }
        });
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_even_if_it_is_not_idempotent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(refusing(listener));
    let mut client = client(&url, &json!({"connections": 1}));
    client.client_stream(stream::iter(["a", "b"].map(ask))).await.expect("an answer");
    let mut once = super::backend::client(&url, &json!({"connections": 1, "enable_retry": false}));
    let status = once.client_stream(stream::iter([ask("a")])).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    server.abort();
}
