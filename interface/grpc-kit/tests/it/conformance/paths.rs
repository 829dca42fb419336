//! Calls of nothing, and requests that are no gRPC.

use prost::Message as _;
use serde_json::json;

use super::{Over, UNARY, framed, over_both, post};
use crate::servicer::ask;

fn message() -> Vec<u8> {
    framed(0, &ask("a").encode_to_vec())
}

async fn what_is_not_there_is_unimplemented(over: Over) {
    let served = over.serve(json!({})).await;
    let paths = [
        "/kit.test.v1.Echo/Nope",
        "/kit.test.v1.Echo/unary",
        "/kit.test.v1.Echo/Unary/",
        "/kit.test.v1.Echo/",
        "/kit.test.v1.Echo",
        "/kit.test.v1.Ech/Unary",
        "/no.Such/Method",
        "//Unary",
        "/",
    ];
    for path in paths {
        let raw = served.send(post(path), message()).await;
        assert_eq!((raw.status.as_u16(), raw.code()), (200, Some("12")), "{path}");
        assert!(raw.trailers.is_none(), "{path}");
        assert!(raw.headers.contains_key("x-correlation-id"), "{path}");
    }
    assert_eq!(served.handled("unknown", "UNIMPLEMENTED"), paths.len() as f64);
    served.channel_still_answers().await;
}

async fn only_grpc_is_spoken(over: Over) {
    let served = over.serve(json!({})).await;
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
        let request = http::Request::post(UNARY).header("content-type", content_type);
        let raw = served.send(request, message()).await;
        assert_eq!((raw.status.as_u16(), raw.code()), (200, Some("0")), "{content_type}");
    }
    for content_type in
        ["application/json", "application/grpc-web", "application/grpc-web+proto", "text/html"]
    {
        let request = http::Request::post(UNARY).header("content-type", content_type);
        let raw = served.send(request, message()).await;
        assert_eq!((raw.status.as_u16(), raw.code()), (415, None), "{content_type}");
    }
    assert_eq!(served.send(http::Request::post(UNARY), message()).await.status.as_u16(), 415);
    for method in ["GET", "PUT", "OPTIONS"] {
        let raw = served.send(post(UNARY).method(method), message()).await;
        assert_eq!(raw.status.as_u16(), 415, "{method}");
    }
    served.channel_still_answers().await;
}

/// Bodies that are no message, or not what was announced.
async fn broken_messages_are_refused(over: Over) {
    let served = over.serve(json!({})).await;
    let whole = message();
    for (name, body, code) in [
        ("no message at all", Vec::new(), "13"),
        ("cut within the length", whole[..3].to_vec(), "13"),
        ("cut within the message", whole[..whole.len() - 1].to_vec(), "13"),
        ("no protobuf", framed(0, &[0xff; 9]), "13"),
        ("a flag nobody knows", framed(9, &ask("a").encode_to_vec()), "13"),
        ("compressed by nothing", framed(1, &ask("a").encode_to_vec()), "13"),
        ("larger than the limit, and not there", [0, 0x7f, 0, 0, 0].to_vec(), "8"),
    ] {
        let raw = served.send(post(UNARY), body).await;
        assert_eq!((raw.status.as_u16(), raw.code()), (200, Some(code)), "{name}");
    }
    let raw = served.send(post(UNARY).header("grpc-encoding", "snappy"), message()).await;
    assert_eq!(raw.code(), Some("12"));
    served.channel_still_answers().await;
}

impl super::Served {
    async fn channel_still_answers(self) {
        self.client().unary(ask("a")).await.expect("an answer");
        self.end().await;
    }
}

over_both!(what_is_not_there_is_unimplemented, only_grpc_is_spoken, broken_messages_are_refused);
