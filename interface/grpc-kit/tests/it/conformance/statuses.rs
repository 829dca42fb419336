//! Every status code, before and after the first message, and what comes with it.

use futures_util::stream;
use hive_grpc_kit::failure::codes;
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Over, UNARY, framed, over_both, post};
use crate::servicer::{EchoRequest, ask};

fn is_as_told(status: &Status, code: Code) {
    assert_eq!(status.code(), code);
    let hidden = matches!(code, Code::Unknown | Code::Internal | Code::DataLoss);
    let told = format!("told {}", code as i32);
    assert_eq!(status.message(), if hidden { codes::FIXED_TEXT } else { &told });
    let metadata = status.metadata();
    assert_eq!(metadata.get("x-told").expect("metadata"), &(code as i32).to_string());
    assert_eq!(metadata.get_bin("x-told-bin").expect("metadata").to_bytes().expect("base64")[..], [0, 255]);
    let details = status.get_error_details();
    let info = details.error_info().expect("error info");
    assert_eq!(info.reason, codes::reason(codes::kind(code).expect("a failure")));
    assert_eq!(info.domain, "kit.test.v1.Echo");
    let id = &details.request_info().expect("request info").request_id;
    // After the first message it went ahead with the head.
    assert!(metadata.get("x-correlation-id").is_none_or(|sent| sent == id));
    assert!(!id.is_empty());
}

async fn every_code_arrives_with_its_metadata(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    for code in codes::all().filter(|code| *code != Code::Ok) {
        let text = format!("code {}", code as i32);
        is_as_told(&client.unary(ask(&text)).await.expect_err("told to"), code);
        let joined = client.client_stream(stream::iter([ask(&text)])).await;
        is_as_told(&joined.expect_err("told to"), code);
        let before = client.server_stream(ask(&text)).await;
        is_as_told(&before.expect_err("told to"), code);
        let after = EchoRequest { text: text.clone(), count: 2 };
        let mut replies = client.server_stream(after).await.expect("a stream").into_inner();
        for _ in 0..2 {
            assert_eq!(replies.message().await.expect("a message").expect("not the end").text, text);
        }
        is_as_told(&replies.message().await.expect_err("told to"), code);
        let mut replies =
            client.bidi(stream::iter([ask("a"), ask(&text)])).await.expect("a stream").into_inner();
        assert_eq!(replies.message().await.expect("a message").expect("not the end").text, "a");
        is_as_told(&replies.message().await.expect_err("told to"), code);
    }
    for code in codes::all().filter(|code| *code != Code::Ok) {
        for (method, count) in [("Unary", 1.0), ("ClientStream", 1.0), ("ServerStream", 2.0), ("Bidi", 1.0)] {
            assert_eq!(served.handled(method, codes::name(code)), count, "{method} {code:?}");
        }
    }
    drop(client);
    served.end().await;
}

/// A failure without a message is a single block of headers; a success ends with trailers.
async fn a_failure_is_trailers_only(over: Over) {
    let served = over.serve(json!({})).await;
    for (text, code) in [("code 5", "5"), ("code 16", "16")] {
        let raw = served.send(post(UNARY), framed(0, &ask(text).encode_to_vec())).await;
        assert_eq!((raw.status.as_u16(), raw.body.len()), (200, 0));
        assert!(raw.trailers.is_none());
        assert_eq!(raw.headers["grpc-status"], code);
        assert_eq!(raw.headers["content-type"], "application/grpc");
    }
    let raw = served.send(post(UNARY), framed(0, &ask("a").encode_to_vec())).await;
    assert!(!raw.headers.contains_key("grpc-status") && !raw.body.is_empty());
    assert_eq!(raw.trailers.expect("trailers")["grpc-status"], "0");
    served.end().await;
}

/// The text of a status is percent-encoded UTF-8 on the wire (gRPC over HTTP/2, "Status-Message").
async fn a_text_may_be_anything(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    for text in ["käse 100 % 🧀", "line\nbreak\ttab", "\"quoted\" \\ \u{7f}"] {
        let status = client.unary(ask(&format!("say {text}"))).await.expect_err("told to");
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text));
    }
    drop(client);
    served.end().await;
}

async fn a_panic_is_internal_in_every_kind(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    let internal = |status: Status| {
        assert_eq!((status.code(), status.message()), (Code::Internal, codes::FIXED_TEXT));
    };
    internal(client.unary(ask("panic")).await.expect_err("a panic"));
    internal(client.client_stream(stream::iter([ask("panic")])).await.expect_err("a panic"));
    let mut replies = client.server_stream(ask("panic")).await.expect("a stream").into_inner();
    internal(replies.message().await.expect_err("a panic"));
    let mut replies = client.bidi(stream::iter([ask("panic")])).await.expect("a stream").into_inner();
    internal(replies.message().await.expect_err("a panic"));
    client.unary(ask("still there")).await.expect("an answer");
    drop((client, replies));
    served.end().await;
}

over_both!(
    every_code_arrives_with_its_metadata,
    a_failure_is_trailers_only,
    a_text_may_be_anything,
    a_panic_is_internal_in_every_kind,
);
