//! Keys that are fetched, and rotated by whoever publishes them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hive_grpc_kit::{
    health::ServingStatus,
    server::config::Environment,
    testing::{Channel, key_set, token, token_of},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tonic::{Code, Request, Status};

use crate::{
    servicer::{EchoClient, Running, ask, builder},
    until,
};

/// Whoever publishes a key set, over plain HTTP.
struct Publisher {
    address: SocketAddr,
    set: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
}

impl Publisher {
    async fn start(set: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (set, asked) = (Arc::new(Mutex::new(set)), Arc::new(AtomicUsize::new(0)));
        let (of_server, count) = (Arc::clone(&set), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                count.fetch_add(1, Ordering::SeqCst);
                let body = of_server.lock().expect("no panic").to_string();
                let status = if body == "null" { "503 Service Unavailable" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, set, asked }
    }

    fn publish(&self, set: Value) {
        *self.set.lock().expect("no panic") = set;
    }

    async fn server(&self) -> Running {
        let url = format!("http://{}/keys", self.address);
        Running::start(json!({"auth": {"mode": "required", "jwks_url": url}})).await
    }
}

fn set(ids: &[&str]) -> Value {
    serde_json::from_str(&key_set(ids)).expect("JSON")
}

async fn call(channel: &Channel, key: &str) -> Result<String, Status> {
    let token = token_of(key, &format!("user of {key}"));
    let mut request = Request::new(ask("a"));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    let answer = EchoClient::new(channel.clone()).unary(request).await?;
    Ok(answer.into_inner().principal)
}

#[tokio::test]
async fn a_key_that_was_published_meanwhile_is_fetched_once() {
    let publisher = Publisher::start(set(&["aaaa"])).await;
    let running = publisher.server().await;
    let channel = running.channel().await;
    assert_eq!(call(&channel, "aaaa").await.expect("known"), "user of aaaa");
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 1);
    // Fetched just now: whoever makes keys up cannot make us ask again and again.
    for _ in 0..5 {
        assert_eq!(call(&channel, "xxxx").await.expect_err("unknown").code(), Code::Unauthenticated);
    }
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 1);
    running.end().await;
}

/// Moves the clock of the runtime, and of it alone.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_are_rotated_while_the_server_serves() {
    let publisher = Publisher::start(set(&["aaaa"])).await;
    let running = publisher.server().await;
    let channel = running.channel().await;
    call(&channel, "aaaa").await.expect("the old key");
    // The new key is published beside the old one: the first token by it makes the server ask, not sooner than allowed.
    publisher.publish(set(&["aaaa", "bbbb"]));
    assert_eq!(call(&channel, "bbbb").await.expect_err("too soon").code(), Code::Unauthenticated);
    later(11).await;
    assert_eq!(call(&channel, "bbbb").await.expect("fetched"), "user of bbbb");
    call(&channel, "aaaa").await.expect("still the old key");
    // Whoever publishes is away: what is known stays.
    publisher.publish(Value::Null);
    let asked = publisher.asked.load(Ordering::SeqCst);
    later(301).await;
    until(|| publisher.asked.load(Ordering::SeqCst) > asked).await;
    call(&channel, "bbbb").await.expect("still known");
    // The old key is withdrawn: after the next fetch, which nobody asks for, it is nobody's.
    publisher.publish(set(&["bbbb"]));
    let withdrawn = async {
        while call(&channel, "aaaa").await.is_ok() {
            later(301).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), withdrawn).await.expect("within the time");
    assert_eq!(call(&channel, "aaaa").await.expect_err("withdrawn").code(), Code::Unauthenticated);
    call(&channel, "bbbb").await.expect("the new key");
    running.end().await;
}

#[tokio::test]
async fn without_any_keys_nothing_is_said_about_tokens() {
    let publisher = Publisher::start(Value::Null).await;
    let running = publisher.server().await;
    let status = call(&running.channel().await, "aaaa").await.expect_err("no keys");
    assert_eq!(status.code(), Code::Unavailable);
    let health = &running.health;
    assert_eq!(health.status(""), Some(ServingStatus::NotServing));
    assert!(health.failing().contains_key("token keys"));
    running.end().await;
}

#[tokio::test]
async fn who_makes_tokens_up_while_there_are_no_remote_keys_is_told_to_wait() {
    let publisher = Publisher::start(Value::Null).await;
    let url = format!("http://{}/keys", publisher.address);
    let secret = "a secret that has signed none of these tokens";
    let auth = json!({"mode": "required", "jwks_url": url, "jwt_secret": secret, "failures_per_minute": 1});
    let running = Running::start(json!({"auth": auth})).await;
    let mut client = running.client().await;
    for expected in [Code::Unavailable, Code::ResourceExhausted] {
        let mut request = Request::new(ask("a"));
        let bearer = format!("Bearer {}", token("mallory", &[])).parse().expect("a value");
        request.metadata_mut().insert("authorization", bearer);
        assert_eq!(client.unary(request).await.expect_err("not verified").code(), expected);
    }
    running.end().await;
}

#[tokio::test]
async fn a_server_is_ready_once_its_keys_are_there() {
    let publisher = Publisher::start(set(&["aaaa"])).await;
    let running = publisher.server().await;
    let ready = async {
        while running.health.status("") != Some(ServingStatus::Serving) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.expect("ready");
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 1);
    assert_eq!(call(&running.channel().await, "aaaa").await.expect("known"), "user of aaaa");
    running.end().await;
}

#[tokio::test]
async fn a_server_in_memory_fetches_when_the_first_token_comes() {
    let publisher = Publisher::start(set(&["aaaa"])).await;
    let url = format!("http://{}/keys", publisher.address);
    let config = serde_json::from_value(json!({"auth": {"mode": "required", "jwks_url": url}}));
    let server = builder(config.expect("settings"), Environment::Development).0.build().expect("a server");
    let memory = hive_grpc_kit::testing::InMemory::start(server).await.expect("a connection");
    publisher.publish(set(&["aaaa", "bbbb"]));
    assert_eq!(call(&memory.channel, "bbbb").await.expect("fetched"), "user of bbbb");
    memory.end().await.expect("no panic");
}

#[test]
fn the_place_is_checked_before_anything_is_opened() {
    for (url, environment, problem) in [
        ("http://idp/keys", Environment::Production, "it must be https outside development"),
        ("idp", Environment::Development, "it must be like https://host/path"),
    ] {
        let auth = json!({"mode": "required", "jwks_url": url, "issuer": "*", "audience": "*"});
        let config = serde_json::from_value(json!({"auth": auth}));
        let error = builder(config.expect("settings"), environment).0.build().expect_err(url).to_string();
        assert_eq!(error, format!("GRPC__SERVER__AUTH__JWKS_URL cannot be used: {problem}"));
    }
}
