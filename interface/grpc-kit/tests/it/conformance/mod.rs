//! What every gRPC server has to do, said once and held over a socket and in memory.

mod flow;
mod metadata;
mod operations;
mod paths;
mod sizes;
mod statuses;

use bytes::Bytes;
use hive_grpc_kit::{
    drain::Shutdown,
    health::HealthReporter,
    layer::metrics,
    server::serve::Drained,
    testing::{Channel, Recorded},
};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tower::Service as _;

use crate::servicer::{Built, EchoClient, Gate, Running, Seen};

/// How client and server are connected.
#[derive(Clone, Copy)]
enum Over {
    Socket,
    Memory,
}

/// Makes a test of every case for either way.
macro_rules! over_both {
    ($($case:ident),+ $(,)?) => {
        mod socket {
            $(#[tokio::test] async fn $case() { super::$case(super::Over::Socket).await; })+
        }
        mod memory {
            $(#[tokio::test] async fn $case() { super::$case(super::Over::Memory).await; })+
        }
    };
}
use over_both;

const UNARY: &str = "/kit.test.v1.Echo/Unary";

/// A server and one connection to it.
struct Served {
    channel: Channel,
    gate: Gate,
    recorded: Recorded,
    seen: Seen,
    health: HealthReporter,
    shutdown: Shutdown,
    server: JoinHandle<Drained>,
}

impl Over {
    async fn serve(self, config: Value) -> Served {
        match self {
            Self::Socket => {
                let running = Running::start(config).await;
                let channel = running.channel().await;
                let Running { gate, recorded, seen, health, shutdown, server, .. } = running;
                Served { channel, gate, recorded, seen, health, shutdown, server }
            }
            Self::Memory => {
                let Built { server, gate, recorded, seen } = Built::new(config, |builder| builder);
                let (client, other) = tokio::io::duplex(64 * 1024);
                let health = server.health();
                let shutdown = Shutdown::new();
                let of_server = shutdown.clone();
                let server = tokio::spawn(async move { server.serve_connection(other, &of_server).await });
                let channel = Channel::over(client).await.expect("a connection");
                Served { channel, gate, recorded, seen, health, shutdown, server }
            }
        }
    }
}

/// An answer as it came over the wire.
struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Raw {
    fn code(&self) -> Option<&str> {
        let headers = self.trailers.as_ref().unwrap_or(&self.headers);
        headers.get("grpc-status").map(|code| code.to_str().expect("a number"))
    }
}

impl Served {
    /// A client that has no limits of its own.
    fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    /// Sends what a client of gRPC would not.
    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Raw {
        let body = Body::new(Full::new(body.into()));
        let mut channel = self.channel.clone();
        let response = channel.call(request.body(body).expect("a request")).await.expect("an answer");
        let (head, body) = response.into_parts();
        let collected = body.collect().await.expect("a whole answer");
        let trailers = collected.trailers().cloned();
        Raw { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers }
    }

    /// How many calls of a method ended with a code.
    fn handled(&self, method: &str, code: &str) -> f64 {
        let labels = [("grpc_method", method), ("grpc_code", code)];
        self.recorded.value(metrics::HANDLED, &labels).unwrap_or_default()
    }

    /// Ends the server, and sees that every call that was started has ended once, and left one line.
    async fn end(self) {
        self.shutdown.drain();
        drop(self.channel);
        let server = tokio::time::timeout(crate::PATIENCE, self.server).await.expect("in time");
        assert_eq!(server.expect("no panic").cut_off, 0);
        let of = |name| self.recorded.value(name, &[]).expect("a series");
        assert_eq!(of(metrics::STARTED), of(metrics::HANDLED));
        assert_eq!(of(metrics::IN_FLIGHT), 0.0);
        // Probes and tools are counted, but leave no line.
        let logged = ["kit.test.v1.Echo", "unknown"].map(|service| {
            self.recorded.value(metrics::STARTED, &[("grpc_service", service)]).expect("a series")
        });
        assert_eq!(logged.iter().sum::<f64>() as usize, self.seen.log().len());
    }
}

/// A gRPC request by hand.
fn post(path: &str) -> http::request::Builder {
    http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers")
}

/// A message as it is sent: flag, length, bytes.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[flag][..], &length, message].concat()
}
