//! The service under test: it does what the text of a request asks for; and a server around it.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use hive_grpc_kit::{
    access_log::AccessLog,
    call::Call,
    drain::Shutdown,
    failure::{Failure, Kind},
    server::{
        builder::ServerBuilder,
        config::{Config, Environment},
        serve::Drained,
    },
    servicer,
    testing::{Channel, Recorded, SharedBuffer},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tonic::{Request, Response, Status, Streaming};

pub(crate) mod proto {
    #![expect(
        unused_qualifications,
        unreachable_pub,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "generated"
    )]
    tonic::include_proto!("kit.test.v1");
}

pub(crate) use proto::{
    EchoReply, EchoRequest,
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};

pub(crate) const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));

/// What tests use to see and to release calls that wait.
#[derive(Clone)]
pub(crate) struct Gate {
    /// One permit for every call that has begun to wait.
    pub(crate) waiting: Arc<Semaphore>,
    /// A permit lets one waiting call go on.
    pub(crate) open: Arc<Semaphore>,
    /// One permit for every waiting call that was dropped.
    pub(crate) dropped: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self { waiting: none(), open: none(), dropped: none() }
    }
}

impl Gate {
    async fn wait(&self) {
        struct OnDrop(Option<Arc<Semaphore>>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                if let Some(dropped) = self.0.take() {
                    dropped.add_permits(1);
                }
            }
        }
        let mut guard = OnDrop(Some(Arc::clone(&self.dropped)));
        self.waiting.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
        guard.0 = None;
    }

    pub(crate) async fn one_waits(&self) {
        self.waiting.acquire().await.expect("never closed").forget();
    }

    pub(crate) async fn one_was_dropped(&self) {
        self.dropped.acquire().await.expect("never closed").forget();
    }
}

struct Servicer {
    gate: Gate,
}

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

impl Servicer {
    async fn answer(&self, call: Option<Arc<Call>>, text: String) -> Result<EchoReply, Status> {
        match &*text {
            "wait" => self.gate.wait().await,
            "panic" => panic!("asked to"),
            "invalid" => return Err(Failure::invalid("text", "says invalid").into()),
            "internal" => return Err(Failure::internal("secret detail").into()),
            "raw internal" => return Err(Status::internal("secret detail")),
            "gone" => return Err(Failure::new(Kind::NotFound, "it is gone").with_reason("ECHO_GONE").into()),
            _ => {}
        }
        let principal = call.and_then(|call| Some(call.principal()?.subject().to_owned()));
        Ok(EchoReply { text, principal: principal.unwrap_or_default() })
    }
}

#[tonic::async_trait]
impl Echo for Servicer {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let call = Call::of(&request);
        let text = request.into_inner().text;
        if let Some(size) = text.strip_prefix("size ") {
            let text = "x".repeat(size.parse().unwrap_or(0));
            return Ok(Response::new(EchoReply { text, principal: String::new() }));
        }
        self.answer(call, text).await.map(Response::new)
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let draining = Call::of(&request).expect("the kit's stack").draining();
        let EchoRequest { text, count } = request.into_inner();
        let reply = EchoReply { text: text.clone(), principal: String::new() };
        let replies = stream::iter(vec![Ok(reply); count as usize]);
        let gate = self.gate.clone();
        Ok(Response::new(match &*text {
            "endless" => Box::pin(draining.end(replies.chain(stream::pending()))),
            "stubborn" => Box::pin(replies.chain(stream::pending())),
            "panic" => Box::pin(replies.chain(stream::poll_fn(|_| panic!("asked to")))),
            "fail" => Box::pin(replies.chain(stream::iter([Err(Status::internal("secret detail"))]))),
            "wait" => Box::pin(replies.chain(stream::once(async move {
                gate.wait().await;
                Ok(EchoReply::default())
            }))),
            _ => Box::pin(replies),
        }))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoReply>, Status> {
        let mut texts = request.into_inner();
        let mut all = Vec::new();
        while let Some(request) = texts.message().await? {
            all.push(request.text);
        }
        Ok(Response::new(EchoReply { text: all.join(","), principal: String::new() }))
    }

    async fn bidi(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        let texts = request.into_inner();
        let reply = |request: EchoRequest| EchoReply { text: request.text, principal: String::new() };
        Ok(Response::new(Box::pin(texts.map(move |request| request.map(reply)))))
    }
}

/// A server on a socket of its own.
pub(crate) struct Running {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) gate: Gate,
    pub(crate) recorded: Recorded,
    pub(crate) shutdown: Shutdown,
    pub(crate) health: hive_grpc_kit::health::HealthReporter,
    pub(crate) server: JoinHandle<Drained>,
    log: AccessLog,
    lines: SharedBuffer,
}

/// A builder with the service registered, and its gate.
pub(crate) fn builder(config: Config, environment: Environment) -> (ServerBuilder, Gate) {
    let gate = Gate::default();
    let servicer = Servicer { gate: gate.clone() };
    let servicer = servicer!(EchoServer, servicer, &config);
    (ServerBuilder::new(config, environment).register(servicer, DESCRIPTOR), gate)
}

impl Running {
    pub(crate) async fn start(config: serde_json::Value) -> Self {
        Self::start_with(config, |builder| builder).await
    }

    pub(crate) async fn start_with(
        config: serde_json::Value,
        change: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let config: Config = serde_json::from_value(config).expect("settings");
        let (builder, gate) = builder(config, Environment::Development);
        let lines = SharedBuffer::default();
        let log = AccessLog::to(lines.clone()).expect("a thread");
        let recorded = Recorded::default();
        let builder = change(builder).access_log(log.clone());
        let server = recorded.install(|| builder.build()).expect("a server");
        let health = server.health();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let of_server = shutdown.clone();
        let server = tokio::spawn(async move { server.serve(listener, &of_server).await });
        Self { address, gate, recorded, shutdown, health, server, log, lines }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::connect(self.address).await.expect("a connection")
    }

    pub(crate) async fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel().await)
    }

    /// The access log so far, a JSON object a line.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        self.log.flush();
        self.lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) async fn end(self) -> Drained {
        self.shutdown.drain();
        self.server.await.expect("no panic")
    }
}

pub(crate) fn ask(text: &str) -> EchoRequest {
    EchoRequest { text: text.to_owned(), count: 0 }
}
