//! What no log may hold: tokens, keys, what callers send, and where things lie. Everything a busy server and its client
//! write is searched, the access log and every event at every level.

use futures_util::stream;
use hive_grpc_kit::{
    client::{ClientConfig, ClientFactory},
    stub,
    testing::{Channel, SharedBuffer, TEST_SECRET, token},
};
use serde_json::json;
use tonic::{Request, metadata::MetadataValue};
use tower::Service as _;
use tracing::level_filters::LevelFilter;

use crate::servicer::{DESCRIPTOR, EchoClient, EchoRequest, Running, ask};

/// Callers send it in every place there is.
const SWORDFISH: &str = "swordfish-7c1e";

fn busy(text: &str, token: &str) -> Request<EchoRequest> {
    let mut request = Request::new(ask(text));
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    metadata.insert("x-api-key", SWORDFISH.parse().expect("a value"));
    metadata.insert("cookie", SWORDFISH.parse().expect("a value"));
    metadata.insert_bin("x-secret-bin", MetadataValue::from_bytes(SWORDFISH.as_bytes()));
    request
}

/// Every way a call can go, by somebody who knows secrets.
async fn keep_busy(channel: &Channel, valid: &str) {
    let mut client = EchoClient::new(channel.clone());
    let (head, signature) = valid.rsplit_once('.').expect("a token");
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    for token in [valid, &forged, "no token", SWORDFISH, ""] {
        for text in [SWORDFISH, "internal", "raw internal", "panic", "invalid", "code 16", "code 2"] {
            let _ = client.unary(busy(text, token)).await;
        }
    }
    let mut request = busy("a", valid);
    request.metadata_mut().insert("x-correlation-id", format!("{SWORDFISH} \"").parse().expect("a value"));
    let _ = client.unary(request).await;
    let mut request = busy("wait", valid);
    request.set_timeout(std::time::Duration::from_millis(20));
    let _ = client.unary(request).await;
    let large = busy(&SWORDFISH.repeat(400_000), valid);
    let _ = client.unary(large).await;
    let requests = stream::iter(["a", "panic"].map(|text| EchoRequest { text: text.into(), count: 0 }));
    let metadata = busy("a", valid).metadata().clone();
    let _ = client.client_stream(Request::from_parts(metadata, Default::default(), requests)).await;
    for (path, body) in [
        (format!("/kit.test.v1.Echo/Unary?token={SWORDFISH}"), &b"\0\0\0\0\x7f no message"[..]),
        (format!("/no.Such/Method?token={SWORDFISH}"), b""),
    ] {
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {valid}"))
            .header("x-api-key", SWORDFISH);
        let body = tonic::body::Body::new(http_body_util::Full::from(body.to_vec()));
        let _ = channel.clone().call(request.body(body).expect("a request")).await;
    }
}

#[tokio::test]
async fn no_secret_is_in_any_line() {
    let events = SharedBuffer::default();
    let writer = events.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let secret = std::str::from_utf8(TEST_SECRET).expect("text");
    let auth = json!({"mode": "required", "jwt_secret": secret});
    let running = Running::start(json!({"auth": auth, "limits": {"rate_per_second": 1000}})).await;
    let valid = token("alice", &["a"]);
    keep_busy(&running.channel().await, &valid).await;

    let settings = json!({"auth": {"token": valid}, "max_retries": 1, "retry_backoff_base": 0.001});
    let config: ClientConfig = serde_json::from_value(settings).expect("settings");
    let factory = ClientFactory::from_config(config).expect("a factory").services(DESCRIPTOR).expect("known");
    for url in [format!("http://{}", running.address), "http://127.0.0.1:1".to_owned()] {
        let mut client = stub!(EchoClient, factory.channel(&url).expect("a channel"));
        let mut request = Request::new(ask(SWORDFISH));
        request.metadata_mut().insert("x-api-key", SWORDFISH.parse().expect("a value"));
        let _ = client.unary(request).await;
        let _ = client.unary(ask("internal")).await;
    }
    let lines = running.seen.clone();
    running.end().await;

    let (lines, events) = (lines.text(), events.text());
    assert!(lines.lines().count() > 40 && lines.contains("\"principal\":\"alice\""), "the run was busy");
    assert!(events.contains("grpc.server") || events.contains("kit.test.v1.Echo"), "and was traced");
    let signature = valid.rsplit('.').next().expect("a signature");
    let payload = valid.split('.').nth(1).expect("a payload");
    let packed = MetadataValue::from_bytes(SWORDFISH.as_bytes());
    let packed = std::str::from_utf8(packed.as_encoded_bytes()).expect("base64");
    for (name, secret) in [
        ("what callers send", SWORDFISH),
        ("the same as bytes", packed),
        ("a token", &*valid),
        ("a token's claims", payload),
        ("a token's signature", signature),
        ("the key", secret),
        ("a header's value", "Bearer "),
    ] {
        for (log, text) in [("the access log", &lines), ("the events", &events)] {
            let found = text.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{name} is in {log}");
        }
    }
}
