//! Connections: silent ones, too many, too old; and the signals that end them all.

use futures_util::FutureExt as _;
use hive_grpc_kit::{layer::metrics, server::peers, testing::Channel};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    PATIENCE,
    servicer::{EchoClient, Running, ask},
    until,
};

/// What a client of HTTP/2 says first: its preface, and settings without any.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Everything the other side says until it closes.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("closed in time");
    // A reset is an end too.
    drop(read);
    said
}

/// The types of the frames in these bytes.
fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [a, b, c, frame, ..] = *bytes {
        types.push(frame);
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    types
}

const PING: u8 = 6;
const GOAWAY: u8 = 7;

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_left_and_others_stay() {
    let running = Running::start(json!({"keepalive_time_ms": 200, "keepalive_timeout_ms": 5_000})).await;
    let mut well = running.client().await;
    well.unary(ask("a")).await.expect("an answer");
    let mut silent = TcpStream::connect(running.address).await.expect("a connection");
    silent.write_all(HELLO).await.expect("written");
    assert!(frames(&until_closed(&mut silent).await).contains(&PING));
    well.unary(ask("a")).await.expect("its pings were answered");
    drop(well);
    running.end().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = Running::start(json!({"limits": {"max_connections": 1}})).await;
    let mut first = running.client().await;
    first.unary(ask("a")).await.expect("an answer");
    let mut second = running.client().await;
    let waiting = tokio::spawn(async move { second.unary(ask("b")).await });
    for _ in 0..50 {
        first.unary(ask("a")).await.expect("an answer");
    }
    assert!(!waiting.is_finished());
    assert_eq!(running.recorded.value(metrics::STARTED, &[("grpc_method", "Unary")]), Some(51.0));
    drop(first);
    timeout(PATIENCE, waiting).await.expect("its turn").expect("no panic").expect("an answer");
    running.end().await;
}

#[tokio::test]
async fn one_address_takes_its_share_and_others_are_let_in() {
    let running = Running::start(json!({"limits": {"max_connections": 4, "address_share": 50}})).await;
    let mut first = running.client().await;
    let mut second = running.client().await;
    for client in [&mut first, &mut second] {
        client.unary(ask("a")).await.expect("an answer");
    }
    let mut third = TcpStream::connect(running.address).await.expect("a connection");
    assert!(until_closed(&mut third).await.is_empty(), "closed at once");
    let value = |name| running.recorded.value(name, &[]);
    assert_eq!((value(peers::CONNECTIONS), value(peers::REFUSED)), (Some(2.0), Some(1.0)));
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("another address of this machine");
    let other = socket.connect(running.address).await.expect("a connection");
    let mut other = EchoClient::new(Channel::over(other).await.expect("a connection"));
    other.unary(ask("a")).await.expect("an answer");
    drop(first);
    until(|| value(peers::CONNECTIONS) < Some(3.0)).await;
    running.client().await.unary(ask("a")).await.expect("a place is free again");
    other.unary(ask("a")).await.expect("the other one is still there");
    running.end().await;
}

#[tokio::test]
async fn an_aged_connection_says_goaway_and_closes() {
    let running = Running::start(json!({"connection": {"max_age_ms": 20}})).await;
    let mut stream = TcpStream::connect(running.address).await.expect("a connection");
    stream.write_all(HELLO).await.expect("written");
    // Two: the first names no last stream, so that calls on their way are still taken; the ping between them measures how
    // long they may be on it.
    let mut said = Vec::new();
    let told = async {
        while !frames(&said).contains(&GOAWAY) {
            assert!(stream.read_buf(&mut said).await.expect("read") > 0);
        }
    };
    timeout(PATIENCE, told).await.expect("in time");
    drop(stream);
    running.end().await;
}

#[tokio::test]
async fn what_runs_on_an_aged_connection_is_cut_off_after_the_grace() {
    let running = Running::start(json!({"connection": {"max_age_ms": 500, "max_age_grace_ms": 20}})).await;
    let channel = running.channel().await;
    let mut client = EchoClient::new(channel.clone());
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    timeout(PATIENCE, running.gate.one_was_dropped()).await.expect("in time");
    call.await.expect("no panic").expect_err("cut off");
    until(|| channel.is_closed()).await;
    assert_eq!(running.end().await.cut_off, 0, "it was gone before the end");
}

fn signal(name: &str) {
    let command = format!("kill -{name} {}", std::process::id());
    let sent = std::process::Command::new("sh").arg("-c").arg(command).status();
    assert!(sent.is_ok_and(|status| status.success()), "{name} was not sent");
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_stops() {
    let running = Running::start(json!({"shutdown": {"drain_ms": 3_600_000}})).await;
    let mut seen = running.shutdown.draining();
    let mut signals = Box::pin(running.shutdown.clone().advance_on_signals());
    // Polled once, the handlers are there: from here on the signals end nothing but the server.
    assert!((&mut signals).now_or_never().is_none());
    let signals = tokio::spawn(signals);
    let mut client = running.client().await;
    let call = tokio::spawn(async move { client.unary(ask("wait")).await });
    running.gate.one_waits().await;

    signal("TERM");
    until_refused(running.address).await;
    assert!(seen.is_draining() && seen.stopped().now_or_never().is_none(), "one does not stop");
    assert!(!call.is_finished());

    signal("INT");
    timeout(PATIENCE, seen.stopped()).await.expect("the second is seen");
    call.await.expect("no panic").expect_err("cut off");
    signals.await.expect("no panic").expect("handlers");
    assert_eq!(running.end().await.cut_off, 1);
}

/// Waits until nobody is let in any more.
async fn until_refused(address: std::net::SocketAddr) {
    let refused = async {
        while Channel::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("in time");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    tokio::time::pause();
    let running = Running::start(json!({})).await;
    let mut silent = TcpStream::connect(running.address).await.expect("a connection");
    let mut said = Vec::new();
    // Under the paused clock the server's patience is over as soon as there is nothing else to do.
    silent.read_to_end(&mut said).await.expect("closed");
    assert!(said.is_empty());
    tokio::time::resume();
    running.end().await;
}
