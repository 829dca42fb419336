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
        serve::{Drained, Server},
    },
    servicer,
    testing::{Channel, Recorded, SharedBuffer},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tonic::{
    Code, Extensions, Request, Response, Status, Streaming,
    metadata::{MetadataMap, MetadataValue},
};

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

#[derive(Clone)]
pub(crate) struct Servicer {
    pub(crate) gate: Gate,
}

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

/// What a text names after a word, as a number.
fn number(text: &str, word: &str) -> Option<usize> {
    text.strip_prefix(word)?.trim_start().parse().ok()
}

/// A status with metadata of both sorts.
fn status(code: usize) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-told", MetadataValue::from(code as u64));
    metadata.insert_bin("x-told-bin", MetadataValue::from_bytes(&[0, 255]));
    Status::with_metadata(Code::from(code as i32), format!("told {code}"), metadata)
}

/// What the caller sent beside its messages.
fn sent(metadata: &MetadataMap) -> MetadataMap {
    let sent = metadata.as_ref().iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    MetadataMap::from_headers(sent.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Requests that are answered one by one.
struct Exchange {
    texts: Streaming<EchoRequest>,
    servicer: Servicer,
    over: bool,
}

impl Exchange {
    async fn next(mut self) -> Option<(Result<EchoReply, Status>, Self)> {
        if self.over {
            return None;
        }
        let reply = match self.texts.message().await.transpose()? {
            Ok(request) if request.text == "stop" => return None,
            Ok(request) if request.text == "count the rest" => {
                let mut rest = 0;
                while self.texts.message().await.ok()?.is_some() {
                    rest += 1;
                }
                Ok(EchoReply { text: rest.to_string(), principal: String::new() })
            }
            Ok(request) => self.servicer.answer(None, request.text).await,
            Err(status) => Err(status),
        };
        self.over = reply.is_err();
        Some((reply, self))
    }
}

impl Servicer {
    async fn answer(&self, call: Option<Arc<Call>>, text: String) -> Result<EchoReply, Status> {
        if let Some(size) = number(&text, "size") {
            return Ok(EchoReply { text: "x".repeat(size), principal: String::new() });
        }
        if let Some(code) = number(&text, "code").filter(|code| *code > 0) {
            return Err(status(code));
        }
        if let Some(words) = text.strip_prefix("say ") {
            return Err(Status::failed_precondition(words));
        }
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
        let metadata = sent(request.metadata());
        let reply = self.answer(call, request.into_inner().text).await?;
        Ok(Response::from_parts(metadata, reply, Extensions::default()))
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let draining = Call::of(&request).expect("the kit's stack").draining();
        let EchoRequest { text, count } = request.into_inner();
        if let (Some(code), 0) = (number(&text, "code"), count) {
            return Err(status(code));
        }
        let size = number(&text, "size");
        let shown = size.map_or_else(|| text.clone(), |size| "x".repeat(size));
        let reply = EchoReply { text: shown, principal: String::new() };
        let replies = stream::iter(vec![Ok(reply); count as usize]);
        let gate = self.gate.clone();
        Ok(Response::new(match &*text {
            "endless" => Box::pin(draining.end(replies.chain(stream::pending()))),
            "stubborn" => Box::pin(replies.chain(stream::pending())),
            "panic" => Box::pin(replies.chain(stream::poll_fn(|_| panic!("asked to")))),
            _ if number(&text, "code").is_some() => {
                let code = number(&text, "code").expect("just seen");
                Box::pin(replies.chain(stream::iter([Err(status(code))])))
            }
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
        let call = Call::of(&request);
        let mut texts = request.into_inner();
        let mut all = Vec::new();
        while let Some(request) = texts.message().await? {
            all.push(request.text);
        }
        self.answer(call, all.join(",")).await.map(Response::new)
    }

    async fn bidi(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        let exchange = Exchange { texts: request.into_inner(), servicer: self.clone(), over: false };
        Ok(Response::new(Box::pin(stream::unfold(exchange, Exchange::next))))
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
    pub(crate) seen: Seen,
}

/// The access log of a server.
#[derive(Clone)]
pub(crate) struct Seen {
    log: AccessLog,
    lines: SharedBuffer,
}

impl Seen {
    /// What was written so far.
    pub(crate) fn text(&self) -> String {
        self.log.flush();
        self.lines.text()
    }

    /// The same, a JSON object a line.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A server that does not serve yet, and what tests see of it.
pub(crate) struct Built {
    pub(crate) server: Server,
    pub(crate) gate: Gate,
    pub(crate) recorded: Recorded,
    pub(crate) seen: Seen,
}

impl Built {
    pub(crate) fn new(
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
        Self { server, gate, recorded, seen: Seen { log, lines } }
    }
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
        let Built { server, gate, recorded, seen } = Built::new(config, change);
        let health = server.health();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let of_server = shutdown.clone();
        let server = tokio::spawn(async move { server.serve(listener, &of_server).await });
        Self { address, gate, recorded, shutdown, health, server, seen }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::connect(self.address).await.expect("a connection")
    }

    pub(crate) async fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel().await)
    }

    /// The access log so far, a JSON object a line.
    pub(crate) fn log(&self) -> Vec<serde_json::Value> {
        self.seen.log()
    }

    pub(crate) async fn end(self) -> Drained {
        self.shutdown.drain();
        self.server.await.expect("no panic")
    }
}

pub(crate) fn ask(text: &str) -> EchoRequest {
    EchoRequest { text: text.to_owned(), count: 0 }
}
