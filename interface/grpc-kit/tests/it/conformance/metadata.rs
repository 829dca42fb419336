//! Metadata: text and bytes, several values of a name, large, and too large.

use prost::Message as _;
use serde_json::json;
use tonic::{
    Request,
    metadata::{MetadataMap, MetadataValue},
};

use super::{Over, UNARY, framed, over_both, post};
use crate::servicer::ask;

async fn it_is_the_same_on_the_other_side(over: Over) {
    let served = over.serve(json!({})).await;
    let bytes: Vec<u8> = (0..=255).collect();
    let mut request = Request::new(ask("a"));
    let metadata = request.metadata_mut();
    metadata.insert_bin("x-all-bin", MetadataValue::from_bytes(&bytes));
    metadata.insert_bin("x-none-bin", MetadataValue::from_bytes(&[]));
    for value in ["first", "second", "a, b"] {
        metadata.append("x-several", value.parse().expect("a value"));
    }
    let printable: String = ('!'..='~').collect();
    metadata.insert("x-printable", printable.parse().expect("a value"));
    let answer = served.client().unary(request).await.expect("an answer");
    let metadata = answer.metadata();
    let bin = |name| metadata.get_bin(name).expect("there").to_bytes().expect("base64");
    assert_eq!(bin("x-all-bin"), bytes);
    assert!(bin("x-none-bin").is_empty());
    let several: Vec<_> = metadata.get_all("x-several").iter().collect();
    assert_eq!(several, ["first", "second", "a, b"]);
    assert_eq!(metadata.get("x-printable").expect("there"), &printable);
    served.end().await;
}

/// Both spellings of padding, and several values of bytes in one line (gRPC over HTTP/2, "Custom-Metadata").
async fn bytes_come_with_or_without_padding(over: Over) {
    let served = over.serve(json!({})).await;
    for sent in ["AAH/", "AAE=", "AAE"] {
        let raw =
            served.send(post(UNARY).header("x-a-bin", sent), framed(0, &ask("a").encode_to_vec())).await;
        assert_eq!(raw.code(), Some("0"));
        let received = MetadataMap::from_headers(raw.headers);
        let bytes = received.get_bin("x-a-bin").expect("there").to_bytes().expect("base64");
        assert_eq!(bytes[..2], [0, 1], "{sent}");
    }
    served.end().await;
}

/// MAX_HEADER_BYTES counts names and values, and 32 bytes for each (HTTP/2, SETTINGS_MAX_HEADER_LIST_SIZE).
async fn large_passes_and_too_large_is_refused(over: Over) {
    let served = over.serve(json!({"limits": {"max_header_bytes": 8192}})).await;
    let with = |bytes: usize| {
        let mut request = Request::new(ask("a"));
        request.metadata_mut().insert("x-large", "x".repeat(bytes).parse().expect("a value"));
        request
    };
    let mut client = served.client();
    let answer = client.unary(with(7_000)).await.expect("below the limit");
    assert_eq!(answer.metadata().get("x-large").expect("there").len(), 7_000);
    for bytes in [8_193, 12_000] {
        client.unary(with(bytes)).await.expect_err("above the limit");
    }
    client.unary(with(7_000)).await.expect("the connection lives on");
    drop(client);
    let raw = served
        .send(post(UNARY).header("x-large", "x".repeat(9_000)), framed(0, &ask("a").encode_to_vec()))
        .await;
    assert_eq!(raw.status.as_u16(), 431);
    served.end().await;
}

async fn many_names_pass(over: Over) {
    let served = over.serve(json!({})).await;
    let mut request = Request::new(ask("a"));
    for number in 0..200 {
        let name: tonic::metadata::AsciiMetadataKey = format!("x-name-{number}").parse().expect("a name");
        request.metadata_mut().insert(name, MetadataValue::from(number));
    }
    let answer = served.client().unary(request).await.expect("an answer");
    for number in 0..200 {
        assert_eq!(answer.metadata().get(format!("x-name-{number}")).expect("there"), &number.to_string());
    }
    served.end().await;
}

over_both!(
    it_is_the_same_on_the_other_side,
    bytes_come_with_or_without_padding,
    large_passes_and_too_large_is_refused,
    many_names_pass,
);
