//! Calls that a servicer makes carry on what its caller said, without the servicer's doing anything.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, stream};
use hive_grpc_kit::{client::Channel, drain::Shutdown};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::backend::{Backend, Replies, client, serve};
use crate::servicer::{Echo, EchoClient, EchoReply, EchoRequest, ask};

/// Asks another server, for its answer or for the messages of its stream.
struct Onward {
    next: EchoClient<Channel>,
}

#[tonic::async_trait]
impl Echo for Onward {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        self.next.clone().unary(request.into_inner()).await
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let (mut next, message) = (self.next.clone(), request.into_inner());
        let reply = async move { next.unary(message).await.map(Response::into_inner) };
        Ok(Response::new(Box::pin(stream::once(reply))))
    }

    async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn bidi(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn from_outside() -> Request<EchoRequest> {
    let mut request = Request::new(ask("a"));
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    for (name, value) in [("x-correlation-id", "outer-1"), ("traceparent", &parent), ("grpc-timeout", "15S")]
    {
        request.metadata_mut().insert(name, value.parse().expect("a value"));
    }
    request
}

/// Whether a call belongs to that from outside. On its own it would have 20 seconds, and nothing of the rest.
fn belongs(metadata: &MetadataMap) -> bool {
    let text = |name| metadata.get(name).map(|value| value.to_str().expect("text"));
    let left: u64 =
        text("grpc-timeout").and_then(|left| left.strip_suffix('u')?.parse().ok()).expect("microseconds");
    text("x-correlation-id") == Some("outer-1")
        && text("traceparent").is_some_and(|parent| parent.contains(TRACE))
        && left < 15_000_000
}

#[tokio::test]
async fn the_calls_of_a_servicer_and_of_its_stream_belong_to_its_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_backend = Arc::clone(&seen);
    let backend = Backend::start(move |_, metadata, text| {
        of_backend.lock().expect("no panic").push(belongs(metadata));
        Some(Ok(text.to_owned()))
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = Shutdown::new();
    let server = serve(listener, Onward { next: client(&backend.url(), &json!({})) }, &shutdown);
    let channel = hive_grpc_kit::testing::Channel::connect(address).await.expect("a connection");
    let mut outside = EchoClient::new(channel);
    outside.unary(from_outside()).await.expect("an answer");
    let replies = outside.server_stream(from_outside()).await.expect("a stream").into_inner();
    assert_eq!(replies.count().await, 1);
    assert_eq!(*seen.lock().expect("no panic"), [true, true]);
    shutdown.drain();
    server.await.expect("no panic");
    backend.drain().await;
}
