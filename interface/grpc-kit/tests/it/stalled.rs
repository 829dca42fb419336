//! Clients that take places and do nothing with them: who does not read its answer, and who never sends its message.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use hive_grpc_kit::{
    health::proto::{HealthCheckRequest, health_client::HealthClient},
    layer::metrics::{HANDLED, IN_FLIGHT},
};
use http::Request;
use prost::Message as _;
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use crate::{
    PATIENCE,
    servicer::{Running, ask},
    until,
};

/// The time of a call that is to end at its deadline: the head of its answer comes before, on a busy machine, too.
const SOON: &str = "2S";

/// A connection with no room for a byte of any answer.
async fn deaf(running: &Running) -> SendRequest<Bytes> {
    with_room(running, 0).await
}

/// A connection with room for so many bytes of each answer, and never for more.
async fn with_room(running: &Running, bytes: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(running.address).await.expect("a connection");
    let mut builder = h2::client::Builder::new();
    let (sender, connection) =
        builder.initial_window_size(bytes).handshake(stream).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

const UNARY: &str = "kit.test.v1.Echo/Unary";
const STREAM: &str = "kit.test.v1.Echo/ServerStream";

/// A call: its headers, and its message if it has one.
async fn call(
    sender: &SendRequest<Bytes>,
    method: &str,
    timeout: Option<&str>,
    message: Option<Vec<u8>>,
) -> (ResponseFuture, h2::SendStream<Bytes>) {
    let mut request = Request::post(format!("http://test/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let mut sender = sender.clone().ready().await.expect("room for a call");
    let (answer, mut body) = sender.send_request(request.body(()).expect("a request"), false).expect("sent");
    if let Some(message) = message {
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        body.send_data(framed.into(), true).expect("sent");
    }
    (answer, body)
}

/// Waits for the head of the answer, and for its end: what HTTP/2 says of it if it was broken off.
async fn end_of(answer: ResponseFuture) -> Option<h2::Reason> {
    let mut body = match answer.await {
        Ok(answer) => answer.into_body(),
        Err(error) => return error.reason(),
    };
    loop {
        match timeout(PATIENCE, body.data()).await.expect("an end in time") {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.reason(),
            None => return None,
        }
    }
}

#[tokio::test]
async fn who_does_not_read_gives_its_places_back_at_the_deadline() {
    let running = Running::start(json!({"max_concurrent_rpcs": 4, "connection": {"max_calls": 4}})).await;
    let deaf = deaf(&running).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(call(&deaf, UNARY, Some(SOON), Some(ask("a").encode_to_vec())).await);
    }
    for (answer, _body) in answers {
        assert_eq!(end_of(answer).await, Some(h2::Reason::CANCEL));
    }
    running.client().await.unary(ask("b")).await.expect("the places are free");
    let late = [("grpc_code", "DEADLINE_EXCEEDED")];
    assert_eq!(running.recorded.value(HANDLED, &late), Some(4.0));
    assert_eq!(running.recorded.value(IN_FLIGHT, &[]), Some(0.0));
    let lines = running.log();
    let late = lines.iter().filter(|line| line["status"] == "DEADLINE_EXCEEDED").count();
    assert_eq!((late, lines.len()), (4, 5), "each is logged once");
    running.end().await;
}

#[tokio::test]
async fn room_for_a_byte_does_not_get_round_the_deadline() {
    let running = Running::start(json!({})).await;
    let miser = with_room(&running, 1).await;
    let (answer, _body) = call(&miser, UNARY, Some(SOON), Some(ask("size 100000").encode_to_vec())).await;
    assert_eq!(end_of(answer).await, Some(h2::Reason::CANCEL));
    assert_eq!(running.recorded.value(HANDLED, &[("grpc_code", "DEADLINE_EXCEEDED")]), Some(1.0));
    let large = running.client().await.unary(ask("size 100000")).await.expect("who reads gets it");
    assert_eq!(large.into_inner().text.len(), 100_000);
    running.end().await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_at_its_callers_deadline() {
    let running = Running::start(json!({})).await;
    let deaf = deaf(&running).await;
    let many = crate::servicer::EchoRequest { text: "endless".to_owned(), count: 3 }.encode_to_vec();
    let (answer, _body) = call(&deaf, STREAM, Some(SOON), Some(many)).await;
    assert_eq!(end_of(answer).await, Some(h2::Reason::CANCEL));
    let late = [("grpc_method", "ServerStream"), ("grpc_code", "DEADLINE_EXCEEDED")];
    until(|| running.recorded.value(HANDLED, &late) == Some(1.0)).await;
    running.end().await;
}

#[tokio::test]
async fn one_connection_takes_half_of_the_places_at_most() {
    let running = Running::start(json!({"max_concurrent_rpcs": 5, "deadline": {"max_ms": 0}})).await;
    let deaf = deaf(&running).await;
    until(|| deaf.current_max_send_streams() == 2).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(call(&deaf, UNARY, None, Some(ask("a").encode_to_vec())).await);
    }
    until(|| running.recorded.value(IN_FLIGHT, &[]) == Some(2.0)).await;
    let mut other = running.client().await;
    other.unary(ask("b")).await.expect("there is room for others");
    running.shutdown.stop();
    running.end().await;
}

#[tokio::test]
async fn who_never_sends_its_message_is_answered_in_the_end() {
    let running = Running::start(json!({"max_concurrent_rpcs": 1, "deadline": {"max_ms": 200}})).await;
    let deaf = deaf(&running).await;
    let (answer, _unfinished) = call(&deaf, UNARY, None, None).await;
    let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
    assert_eq!(answer.headers()["grpc-status"], "4");
    // A stream, which the short time is not for.
    running.client().await.server_stream(ask("b")).await.expect("the place is free");
    running.end().await;
}

#[tokio::test]
async fn half_a_probe_is_answered_in_the_end_and_a_watch_goes_on() {
    let running = Running::start(json!({"deadline": {"max_ms": 200}})).await;
    let channel = running.channel().await;
    let request = HealthCheckRequest::default();
    let watch = HealthClient::new(channel.clone()).watch(request).await.expect("a stream");
    let questions = futures_util::stream::pending();
    let reflection =
        ServerReflectionClient::new(channel).server_reflection_info(questions).await.expect("a stream");
    let deaf = deaf(&running).await;
    let (answer, _unfinished) = call(&deaf, "grpc.health.v1.Health/Check", None, None).await;
    let answer = timeout(PATIENCE, answer).await.expect("in time").expect("an answer");
    assert_eq!(answer.headers()["grpc-status"], "4");
    assert_eq!(running.recorded.value(IN_FLIGHT, &[]), Some(2.0), "they began before, and last");
    drop((watch, reflection));
    running.end().await;
}
