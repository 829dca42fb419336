//! Servers that say strange things, and servers that pass on what they were told.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{future::select_all, stream};
use hive_grpc_kit::{client::Channel, drain::Shutdown};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::backend::{Backend, Replies, client, serve};
use crate::servicer::{Echo, EchoClient, EchoReply, EchoRequest, ask};

/// Writes something, and then calls another server.
struct Writes {
    written: Arc<AtomicUsize>,
    next: EchoClient<Channel>,
}

#[tonic::async_trait]
impl Echo for Writes {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, _: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn server_stream(&self, _: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
        self.written.fetch_add(1, Ordering::SeqCst);
        self.next.clone().client_stream(stream::iter([ask("a")])).await
    }

    async fn bidi(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// How often a servicer has written that calls `next` for its caller, which may send again what changed nothing.
async fn written(next: &str) -> usize {
    let written = Arc::new(AtomicUsize::new(0));
    let next = client(next, &json!({"max_retries": 0}));
    let writes = Writes { written: Arc::clone(&written), next };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = Shutdown::new();
    let server = serve(listener, writes, &shutdown);
    let mut client = client(&format!("http://{address}"), &json!({}));
    let failed = client.client_stream(stream::iter([ask("a")])).await.expect_err("the next failed");
    assert!(!failed.metadata().contains_key("grpc-retry-pushback-ms"));
    shutdown.drain();
    server.await.expect("no panic");
    written.load(Ordering::SeqCst)
}

#[tokio::test]
async fn that_the_next_hop_changed_nothing_says_nothing_about_this_one() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    assert_eq!(written(&nobody).await, 1, "nobody is there");
    // The same service, so that not even the domain of the error tells the hops apart.
    let backend = Backend::start(|_, _, _| {
        use hive_grpc_kit::failure::{Failure, Kind};
        let mut status = Status::from(Failure::new(Kind::Unavailable, "full").untouched());
        status.metadata_mut().insert("grpc-retry-pushback-ms", "1".parse().expect("a value"));
        Some(Err(status))
    })
    .await;
    assert_eq!(written(&backend.url()).await, 1, "it said that nothing happened");
    assert_eq!(backend.seen(), 1);
    backend.drain().await;
}

/// Speaks HTTP/2 as `speak` does, with so many streams at a time on a connection.
async fn raw<F>(
    streams: u32,
    speak: impl Fn(h2::server::Connection<TcpStream, Bytes>) -> F + Send + Sync + 'static,
) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut http2 = h2::server::Builder::new();
    http2.max_concurrent_streams(streams);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(http2.handshake(stream).await.expect("HTTP/2")));
        }
    });
    url
}

fn head() -> http::response::Builder {
    http::Response::builder().header("content-type", "application/grpc")
}

#[tokio::test]
async fn details_that_are_no_base64_panic_nobody() {
    const DETAILS: &str = "grpc-status-details-bin";
    let url = raw(100, |mut connection| async move {
        let mut in_trailers = false;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if in_trailers {
                let mut body = respond.send_response(head().body(()).expect("a head"), false).expect("sent");
                let trailers = [("grpc-status", "5"), (DETAILS, "%%%")].map(|(name, value)| {
                    (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
                });
                body.send_trailers(trailers.into_iter().collect()).expect("sent");
            } else {
                let only = head().header("grpc-status", "14").header(DETAILS, "%%%");
                respond.send_response(only.body(()).expect("a head"), true).expect("sent");
            }
            in_trailers = !in_trailers;
        }
    })
    .await;
    let mut client = client(&url, &json!({"connections": 1, "max_retries": 0}));
    assert_eq!(client.unary(ask("a")).await.expect_err("headers").code(), Code::Unavailable);
    assert_eq!(client.unary(ask("a")).await.expect_err("trailers").code(), Code::NotFound);
}

#[tokio::test]
async fn a_dropped_answer_ends_an_open_request() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let url = raw(100, move |mut connection| {
        let tell = tell.clone();
        async move {
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let body = respond.send_response(head().body(()).expect("a head"), false).expect("sent");
                let (tell, mut body, mut request) = (tell.clone(), body, request.into_body());
                tokio::spawn(async move {
                    let reason = poll_fn(|cx| body.poll_reset(cx)).await;
                    let read = request.data().await;
                    tell.send((reason.ok(), read.is_some_and(|read| read.is_err()))).expect("it is awaited");
                });
            }
        }
    })
    .await;
    let mut client = client(&url, &json!({"connections": 1}));
    let answer = client.bidi(stream::pending()).await.expect("a stream");
    drop(answer);
    let seen = tokio::time::timeout(std::time::Duration::from_secs(20), told.recv()).await;
    assert_eq!(seen.expect("in time"), Some((Some(h2::Reason::CANCEL), true)));
}

#[tokio::test]
async fn calls_that_wait_for_a_stream_are_bounded() {
    let url = raw(1, |mut connection| async move {
        let mut unanswered = Vec::new();
        let mut answered = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if answered == 2 {
                unanswered.push(respond);
                continue;
            }
            answered += 1;
            let only = head().header("grpc-status", "5");
            respond.send_response(only.body(()).expect("a head"), true).expect("sent");
        }
    })
    .await;
    let client = client(&url, &json!({"connections": 1, "max_retries": 0}));
    for _ in 0..2 {
        // Two, so that the server's settings are known.
        assert_eq!(client.clone().unary(ask("a")).await.expect_err("no").code(), Code::NotFound);
    }
    let calls = (0..3).map(|_| {
        let mut client = client.clone();
        Box::pin(async move { client.unary(ask("a")).await })
    });
    // One hangs, one waits for it.
    let (first, _, others) = select_all(calls).await;
    assert_eq!(first.expect_err("too many").code(), Code::ResourceExhausted);
    assert_eq!(others.len(), 2);
}
