//! Messages at the limit and one byte above, in both directions, plain and compressed.

use futures_util::stream;
use hive_grpc_kit::testing::Channel;
use serde_json::json;
use tonic::{Code, Status, codec::CompressionEncoding};
use tonic_types::StatusExt as _;

use super::{Over, over_both};
use crate::servicer::{EchoClient, EchoRequest, ask};

/// The limit unless a setting says otherwise.
const LIMIT: usize = 4 * 1024 * 1024;
/// Of such a text alone in its message: the field, and its length in four bytes.
const OVERHEAD: usize = 5;
const AT: usize = LIMIT - OVERHEAD;

/// `effect` says whether the caller may be sure that nothing happened.
fn is_too_large(status: &Status, effect: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    let info = details.error_info().expect("error info");
    assert_eq!((&*info.reason, &*info.metadata["effect"]), ("MESSAGE_TOO_LARGE", effect));
}

async fn requests_pass_at_the_limit_and_no_further(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    let (at, above) = (ask(&"x".repeat(AT)), ask(&"x".repeat(AT + 1)));
    assert_eq!(client.unary(at.clone()).await.expect("at the limit").into_inner().text.len(), AT);
    is_too_large(&client.unary(above.clone()).await.expect_err("above it"), "none");
    let mut replies =
        client.bidi(stream::iter([at.clone(), at.clone()])).await.expect("a stream").into_inner();
    for _ in 0..2 {
        assert_eq!(replies.message().await.expect("at the limit").expect("not the end").text.len(), AT);
    }
    assert!(replies.message().await.expect("the end").is_none());
    let joined = client.client_stream(stream::iter([ask("a"), above.clone()])).await;
    is_too_large(&joined.expect_err("above it"), "unknown");
    let mut replies = client.bidi(stream::iter([ask("a"), above])).await.expect("a stream").into_inner();
    // What came in one piece with it goes with it.
    let status = loop {
        match replies.message().await {
            Ok(message) => assert_eq!(message.expect("not the end").text, "a"),
            Err(status) => break status,
        }
    };
    is_too_large(&status, "unknown");
    client.unary(ask("a")).await.expect("the connection lives on");
    drop((client, replies));
    served.end().await;
}

async fn answers_pass_at_the_limit_and_no_further(over: Over) {
    let served = over.serve(json!({})).await;
    let mut client = served.client();
    let (at, above) = (format!("size {AT}"), format!("size {}", AT + 1));
    assert_eq!(client.unary(ask(&at)).await.expect("at the limit").into_inner().text.len(), AT);
    is_too_large(&client.unary(ask(&above)).await.expect_err("above it"), "unknown");
    let request = EchoRequest { text: at, count: 2 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    for _ in 0..2 {
        assert_eq!(replies.message().await.expect("at the limit").expect("not the end").text.len(), AT);
    }
    assert!(replies.message().await.expect("the end").is_none());
    let request = EchoRequest { text: above, count: 1 };
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    is_too_large(&replies.message().await.expect_err("above it"), "unknown");
    client.unary(ask("a")).await.expect("the connection lives on");
    drop((client, replies));
    served.end().await;
}

fn compressing(client: EchoClient<Channel>, encoding: CompressionEncoding) -> EchoClient<Channel> {
    client.send_compressed(encoding).accept_compressed(encoding)
}

const KINDS: [(&str, CompressionEncoding); 2] =
    [("gzip", CompressionEncoding::Gzip), ("zstd", CompressionEncoding::Zstd)];

async fn the_four_kinds_work_compressed(over: Over) {
    for (name, encoding) in KINDS {
        let served = over.serve(json!({"compression": name})).await;
        let mut client = compressing(served.client(), encoding);
        let text = "so compressible ".repeat(100);
        let answer = client.unary(ask(&text)).await.expect("an answer");
        assert_eq!(answer.metadata().get("grpc-encoding").expect("compressed"), name);
        assert_eq!(answer.into_inner().text, text);
        let joined = client.client_stream(stream::iter([ask(&text), ask(&text)])).await;
        assert_eq!(joined.expect("an answer").into_inner().text, format!("{text},{text}"));
        let request = EchoRequest { text: text.clone(), count: 3 };
        let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
        for _ in 0..3 {
            assert_eq!(replies.message().await.expect("a message").expect("not the end").text, text);
        }
        assert!(replies.message().await.expect("the end").is_none());
        let mut replies = client.bidi(stream::iter([ask(&text)])).await.expect("a stream").into_inner();
        assert_eq!(replies.message().await.expect("a message").expect("not the end").text, text);
        assert!(replies.message().await.expect("the end").is_none());
        let failed = client.unary(ask("code 5")).await.expect_err("told to");
        assert_eq!(failed.code(), Code::NotFound);
        drop((client, replies));
        served.end().await;
    }
}

/// The limit counts what a request is unpacked, lest a small one fill the memory; of an answer, what is sent.
async fn compressed_requests_have_the_limit_of_plain_ones(over: Over) {
    for (name, encoding) in KINDS {
        let served = over.serve(json!({"compression": name, "max_message_size": 65_536})).await;
        let mut client = compressing(served.client(), encoding);
        let at = 65_536 - 4;
        for (size, passes) in [(at, true), (at + 1, false), (4_000_000, false)] {
            let answer = client.unary(ask(&"x".repeat(size))).await;
            let expected = if passes { None } else { Some(Code::ResourceExhausted) };
            assert_eq!(answer.err().map(|status| status.code()), expected, "{name} {size}");
        }
        client.unary(ask("size 4000000")).await.expect("it packs well");
        client.unary(ask("a")).await.expect("the connection lives on");
        drop(client);
        served.end().await;
    }
}

over_both!(
    requests_pass_at_the_limit_and_no_further,
    answers_pass_at_the_limit_and_no_further,
    the_four_kinds_work_compressed,
    compressed_requests_have_the_limit_of_plain_ones,
);
