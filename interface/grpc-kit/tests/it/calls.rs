//! Calls of the four kinds, their errors, and what is seen of them.

use futures_util::stream;
use hive_grpc_kit::{failure::codes, layer::metrics, server::config::Environment, testing::InMemory};
use serde_json::json;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::servicer::{EchoClient, EchoRequest, Running, ask, builder};

#[tokio::test]
async fn the_four_kinds_of_calls_work_and_are_counted() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    assert_eq!(client.unary(ask("hello")).await.expect("an answer").into_inner().text, "hello");
    let request = EchoRequest { text: "n".into(), count: 3 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    let mut count = 0;
    while replies.message().await.expect("a message").is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    let joined = client.client_stream(stream::iter(["a", "b"].map(ask))).await.expect("an answer");
    assert_eq!(joined.into_inner().text, "a,b");
    let mut echoed = client.bidi(stream::iter(["a", "b"].map(ask))).await.expect("a stream").into_inner();
    assert_eq!(echoed.message().await.expect("a message").expect("not the end").text, "a");
    assert_eq!(echoed.message().await.expect("a message").expect("not the end").text, "b");
    assert!(echoed.message().await.expect("the end").is_none());
    drop((client, replies, echoed));
    let recorded = running.recorded.clone();
    assert_eq!(running.end().await.cut_off, 0);
    for (method, received, sent) in
        [("Unary", 1.0, 1.0), ("ServerStream", 1.0, 3.0), ("ClientStream", 2.0, 1.0), ("Bidi", 2.0, 2.0)]
    {
        let method = ("grpc_method", method);
        assert_eq!(recorded.value(metrics::HANDLED, &[method, ("grpc_code", "OK")]), Some(1.0), "{method:?}");
        assert_eq!(recorded.value(metrics::RECEIVED, &[method]), Some(received), "{method:?}");
        assert_eq!(recorded.value(metrics::SENT, &[method]), Some(sent), "{method:?}");
        assert_eq!(recorded.value(metrics::IN_FLIGHT, &[method]), Some(0.0), "{method:?}");
    }
}

#[tokio::test]
async fn errors_carry_details_and_no_secrets() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    let mut request = Request::new(ask("invalid"));
    request.metadata_mut().insert("x-correlation-id", "abc-123".parse().expect("a value"));
    let status = client.unary(request).await.expect_err("invalid");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.bad_request().expect("bad request").field_violations[0].field, "text");
    assert_eq!(details.request_info().expect("request info").request_id, "abc-123");
    assert_eq!(status.metadata().get("x-correlation-id").expect("the id"), "abc-123");
    let gone = client.unary(ask("gone")).await.expect_err("gone").get_error_details();
    let info = gone.error_info().expect("error info");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("ECHO_GONE", "kit.test.v1.Echo"));
    for text in ["internal", "raw internal", "panic"] {
        let status = client.unary(ask(text)).await.expect_err("internal");
        assert_eq!((status.code(), status.message()), (Code::Internal, codes::FIXED_TEXT), "{text}");
    }
    let line = &running.log()[0];
    assert_eq!(line["correlation_id"], "abc-123");
    assert_eq!(
        (&line["method"], &line["status"]),
        (&json!("/kit.test.v1.Echo/Unary"), &json!("INVALID_ARGUMENT"))
    );
    assert!(line["peer"].as_str().expect("a peer").starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_stream_that_fails_or_panics_ends_with_its_status() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    for text in ["fail", "panic"] {
        let request = EchoRequest { text: text.into(), count: 1 };
        let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
        // What was still being batched when the stream panicked is lost, so the first message need not arrive.
        let status = loop {
            match replies.message().await {
                Ok(message) => assert_eq!(message.expect("not the end").text, text),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), status.message()), (Code::Internal, codes::FIXED_TEXT), "{text}");
    }
    client.unary(ask("still there")).await.expect("the server goes on");
}

#[tokio::test]
async fn a_call_dropped_by_its_client_is_dropped_here_and_counted() {
    let running = Running::start(json!({})).await;
    let mut client = running.client().await;
    let mut cancelled = client.clone();
    let call = tokio::spawn(async move { cancelled.unary(ask("wait")).await });
    running.gate.one_waits().await;
    call.abort();
    running.gate.one_was_dropped().await;
    client.unary(ask("next")).await.expect("an answer");
    drop(client);
    let recorded = running.recorded.clone();
    running.end().await;
    let labels = [("grpc_method", "Unary"), ("grpc_code", "CANCELLED")];
    assert_eq!(recorded.value(metrics::HANDLED, &labels), Some(1.0));
}

#[tokio::test]
async fn a_message_at_the_limit_passes_in_both_directions() {
    let running = Running::start(json!({"max_message_size": 8_000_000})).await;
    let mut client =
        running.client().await.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX);
    let large = "x".repeat(7_900_000);
    let reply = client.unary(ask(&large)).await.expect("above the library's own limit").into_inner();
    assert_eq!(reply.text.len(), large.len());
    let status = client.unary(ask(&"x".repeat(8_000_000))).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_error_details().error_info().expect("error info").reason, "MESSAGE_TOO_LARGE");
    let status = client.unary(ask("size 8000000")).await.expect_err("too large an answer");
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn the_same_server_runs_in_memory() {
    let config = serde_json::from_value(json!({})).expect("settings");
    let (builder, _) = builder(config, Environment::Development);
    let server = InMemory::start(builder.build().expect("a server")).await.expect("a server");
    let mut client = EchoClient::new(server.channel.clone());
    assert_eq!(client.unary(ask("hello")).await.expect("an answer").into_inner().text, "hello");
    drop(client);
    assert_eq!(server.end().await.expect("no panic").cut_off, 0);
}
