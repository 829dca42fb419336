//! Every way a call is refused before its servicer, over a socket.

use std::collections::HashMap;

use hive_grpc_kit::{
    layer::{auth::AccessRules, metrics},
    server::{builder::BuildError, config::Environment},
    testing::{Channel, TEST_SECRET, token},
};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::servicer::{EchoClient, EchoRequest, Running, ask, builder};

fn with_auth(mode: &str) -> Value {
    json!({"auth": {"mode": mode, "jwt_secret": String::from_utf8_lossy(TEST_SECRET)}})
}

fn signed(text: &str, scopes: &[&str]) -> Request<EchoRequest> {
    by("alice", text, scopes)
}

fn by(subject: &str, text: &str, scopes: &[&str]) -> Request<EchoRequest> {
    let mut request = Request::new(ask(text));
    let value = format!("Bearer {}", token(subject, scopes));
    request.metadata_mut().insert("authorization", value.parse().expect("a value"));
    request
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().expect("error info").reason.clone()
}

#[tokio::test]
async fn tokens_and_scopes_decide() {
    let scopes = HashMap::from([("/kit.test.v1.Echo/Unary".to_owned(), vec!["echo".to_owned()])]);
    let public = vec!["/kit.test.v1.Echo/Bidi".to_owned()];
    let rules = AccessRules { public, scopes, ..AccessRules::default() };
    let running = Running::start_with(with_auth("required"), |builder| builder.access(rules)).await;
    let mut client = running.client().await;
    let missing = client.unary(ask("a")).await.expect_err("no token");
    let mut wrong = Request::new(ask("a"));
    wrong.metadata_mut().insert("authorization", "Bearer a.b.c".parse().expect("a value"));
    let wrong = client.unary(wrong).await.expect_err("no valid token");
    assert_eq!((missing.code(), missing.message()), (wrong.code(), wrong.message()));
    assert_eq!(missing.code(), Code::Unauthenticated);
    let unscoped = client.unary(signed("a", &["other"])).await.expect_err("no scope");
    assert_eq!(unscoped.code(), Code::PermissionDenied);
    for _ in 0..2 {
        let reply = client.unary(signed("a", &["echo"])).await.expect("allowed").into_inner();
        assert_eq!(reply.principal, "alice");
    }
    client.bidi(futures_util::stream::empty()).await.expect("public");
    let unauthenticated = [("grpc_method", "Unary"), ("grpc_code", "UNAUTHENTICATED")];
    assert_eq!(running.recorded.value(metrics::HANDLED, &unauthenticated), Some(2.0));
    let log = running.log();
    assert!(log.iter().any(|line| line["status"] == "OK" && line["principal"] == "alice"));
    assert!(log.iter().any(|line| line["status"] == "UNAUTHENTICATED"));
}

#[tokio::test]
async fn who_shows_invalid_tokens_too_often_is_told_to_wait_whatever_it_shows_next() {
    let mut config = with_auth("required");
    config["auth"]["failures_per_minute"] = json!(3);
    let running = Running::start(config).await;
    let mut client = running.client().await;
    let known = by("alice", "a", &[]);
    let again = || {
        let mut again = Request::new(ask("a"));
        *again.metadata_mut() = known.metadata().clone();
        again
    };
    client.unary(again()).await.expect("valid");
    let mut other = running.client().await;
    for attempt in 0..6 {
        // One that is refused for want of a token has used up nothing.
        let missing = other.unary(ask("a")).await.expect_err("no token");
        assert_eq!(missing.code(), Code::Unauthenticated);
        let mut wrong = Request::new(ask("a"));
        wrong.metadata_mut().insert("authorization", "Bearer a.b.c".parse().expect("a value"));
        let status = other.unary(wrong).await.expect_err("not valid");
        let expected = if attempt < 3 { Code::Unauthenticated } else { Code::ResourceExhausted };
        assert_eq!(status.code(), expected, "{attempt}");
        if attempt >= 3 {
            assert_eq!(reason(&status), "RATE_LIMITED");
            let wait = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
            assert!(wait.is_some_and(|wait| wait.as_secs() <= 20), "{wait:?}");
        }
    }
    let unread = other.unary(by("bob", "a", &[])).await.expect_err("from the same address");
    assert_eq!(unread.code(), Code::ResourceExhausted);
    for client in [&mut client, &mut other] {
        client.unary(again()).await.expect("verified before");
    }
    running.end().await;
}

#[tokio::test]
async fn a_full_server_sheds_and_recovers() {
    let running = Running::start(json!({"max_concurrent_rpcs": 1})).await;
    let (mut client, mut other) = (running.client().await, running.client().await);
    let waiting = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;
    let status = other.unary(ask("a")).await.expect_err("full");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(status.get_error_details().retry_info().is_some());
    running.gate.open.add_permits(1);
    waiting.await.expect("no panic").expect("an answer");
    // The place is free once the server has dropped the answer's body, just after the client has read it.
    loop {
        match other.unary(ask("a")).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
    }
}

#[tokio::test]
async fn a_caller_above_its_rate_is_told_to_wait() {
    let running = Running::start(json!({"limits": {"rate_per_second": 1, "rate_burst": 2}})).await;
    let mut client = running.client().await;
    for _ in 0..2 {
        client.unary(ask("a")).await.expect("within the burst");
    }
    let status = until_refused(&mut client, "", "a").await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
}

/// Calls until one is refused: a busy machine may give an allowance back between two of them.
async fn until_refused(client: &mut EchoClient<Channel>, subject: &str, text: &str) -> Status {
    let refused = async {
        loop {
            let request = if subject.is_empty() { Request::new(ask(text)) } else { by(subject, text, &[]) };
            if let Err(status) = client.unary(request).await {
                return status;
            }
        }
    };
    tokio::time::timeout(crate::PATIENCE, refused).await.expect("in time")
}

#[tokio::test]
async fn each_principal_has_a_rate_of_its_own_and_refused_ones_use_none() {
    let mut config = with_auth("required");
    config["limits"] = json!({"rate_per_second": 1, "rate_burst": 3});
    let running = Running::start(config).await;
    let mut client = running.client().await;
    let status = until_refused(&mut client, "alice", "a").await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!(status.get_error_details().retry_info().is_some());
    // The same connection, somebody else; and nobody has used up anything of hers.
    for _ in 0..5 {
        let nobody = client.unary(ask("a")).await.expect_err("no token");
        assert_eq!(nobody.code(), Code::Unauthenticated);
    }
    for _ in 0..3 {
        client.unary(by("bob", "a", &[])).await.expect("her own burst");
    }
    running.end().await;
}

#[tokio::test]
async fn a_deadline_ends_the_call_on_both_sides() {
    let running = Running::start(json!({"deadline": {"max_ms": 20}})).await;
    let mut client = running.client().await;
    let mut request = Request::new(ask("wait"));
    request.set_timeout(std::time::Duration::from_secs(600));
    let status = client.unary(request).await.expect_err("too late");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    running.gate.one_was_dropped().await;
    let mut request = Request::new(EchoRequest { text: "stubborn".into(), count: 1 });
    request.metadata_mut().insert("grpc-timeout", "1S".parse().expect("a value"));
    let mut replies = client.server_stream(request).await.expect("a stream").into_inner();
    replies.message().await.expect("a message").expect("the first");
    assert_eq!(replies.message().await.expect_err("too late").code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn unknown_methods_and_services_are_unimplemented_and_grow_no_labels() {
    let running = Running::start(json!({})).await;
    let mut channel = tonic::client::Grpc::new(running.channel().await);
    for path in ["/kit.test.v1.Echo/Nope", "/no.Such/Method", "/"] {
        channel.ready().await.expect("connected");
        let codec = tonic_prost::ProstCodec::<EchoRequest, EchoRequest>::default();
        let path = http::uri::PathAndQuery::from_static(path);
        let status = channel.unary(Request::new(ask("a")), path, codec).await.expect_err("unknown");
        assert_eq!(status.code(), Code::Unimplemented);
    }
    let labels = [("grpc_method", "unknown"), ("grpc_code", "UNIMPLEMENTED")];
    assert_eq!(running.recorded.value(metrics::HANDLED, &labels), Some(3.0));
    assert_eq!(running.recorded.value(metrics::HANDLED, &[("grpc_method", "Nope")]), None);
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let running = Running::start(json!({})).await;
    let mut channel = running.channel().await;
    let request =
        http::Request::get("/kit.test.v1.Echo/Unary").body(tonic::body::Body::empty()).expect("a request");
    let response = tower::Service::call(&mut channel, request).await.expect("an answer");
    assert_eq!(response.status(), http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_server_that_cannot_be_right_is_not_built() {
    let build_in = |environment, config: Value, change: fn(AccessRules) -> AccessRules| {
        let config = serde_json::from_value(config).expect("settings");
        let (builder, _) = builder(config, environment);
        builder.access(change(AccessRules::default())).build().map(|_| ())
    };
    let build = |config, change| build_in(Environment::Production, config, change);
    let keyless = build(json!({}), |rules| rules).expect_err("no key material");
    assert!(keyless.to_string().starts_with("GRPC__SERVER__AUTH__JWT_SECRET"));
    let off = json!({"auth": {"mode": "off"}});
    build(off.clone(), |rules| rules).expect("authentication off by decision");
    let named = |rules: AccessRules| {
        let identities =
            HashMap::from([("kit.test.v1.Echo/*".to_owned(), vec!["spiffe://hive/a".to_owned()])]);
        AccessRules { identities, ..rules }
    };
    let ignored = build(off.clone(), named).expect_err("a rule that nobody goes by").to_string();
    assert!(ignored.starts_with("GRPC__SERVER__AUTH__MODE must be optional or required"), "{ignored}");
    build_in(Environment::Development, off.clone(), named).expect("everything is open at a desk");
    let slip = build(off, |rules| AccessRules { public: vec!["/kit.test.v1.Echo/Unry".into()], ..rules });
    assert!(matches!(slip, Err(BuildError::Config(_))));
}
