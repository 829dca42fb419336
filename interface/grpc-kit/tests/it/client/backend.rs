//! A server that answers as a script says, and counts what reaches it.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{Stream, StreamExt as _, stream};
use hive_grpc_kit::{
    client::{Channel, ClientConfig, ClientFactory},
    drain::Shutdown,
    server::{
        builder::ServerBuilder,
        config::{Config, Environment},
        serve::Drained,
    },
    servicer, stub,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::servicer::{DESCRIPTOR, Echo, EchoClient, EchoReply, EchoRequest, EchoServer};

/// What a call is answered with: its number from 0, its metadata, and the text it sent. `None` is no answer at all.
pub(super) type Script = dyn Fn(usize, &MetadataMap, &str) -> Option<Result<String, Status>> + Send + Sync;

struct Scripted {
    script: Arc<Script>,
    seen: Arc<AtomicUsize>,
}

impl Scripted {
    async fn answer(&self, metadata: &MetadataMap, text: &str) -> Result<EchoReply, Status> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        let answer = (self.script)(number, metadata, text);
        let text = match answer {
            Some(answer) => answer?,
            None => std::future::pending().await,
        };
        Ok(EchoReply { text, principal: String::new() })
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Scripted {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let reply = self.answer(request.metadata(), &request.get_ref().text).await?;
        Ok(Response::new(reply))
    }

    /// One message, then what the script says.
    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let (metadata, _, EchoRequest { text, .. }) = request.into_parts();
        let last = self.answer(&metadata, &text).await;
        Ok(Response::new(Box::pin(stream::iter([Ok(EchoReply::default()), last]))))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<EchoRequest>>,
    ) -> Result<Response<EchoReply>, Status> {
        let (metadata, _, mut texts) = request.into_parts();
        let mut all = Vec::new();
        while let Some(request) = texts.message().await? {
            all.push(request.text);
        }
        self.answer(&metadata, &all.join(",")).await.map(Response::new)
    }

    async fn bidi(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        let reply = |request: EchoRequest| EchoReply { text: request.text, principal: String::new() };
        Ok(Response::new(Box::pin(request.into_inner().map(move |request| request.map(reply)))))
    }
}

/// A server on a socket of its own.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    seen: Arc<AtomicUsize>,
    shutdown: Shutdown,
    server: JoinHandle<Drained>,
}

impl Backend {
    pub(super) async fn start(
        script: impl Fn(usize, &MetadataMap, &str) -> Option<Result<String, Status>> + Send + Sync + 'static,
    ) -> Self {
        Self::start_on("127.0.0.1:0".parse().expect("an address"), script).await
    }

    pub(super) async fn start_on(
        address: SocketAddr,
        script: impl Fn(usize, &MetadataMap, &str) -> Option<Result<String, Status>> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let scripted = Scripted { script: Arc::new(script), seen: Arc::clone(&seen) };
        let builder = ServerBuilder::new(Config::default(), Environment::Development);
        let server = builder.register(servicer!(EchoServer, scripted), DESCRIPTOR).build().expect("a server");
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = Shutdown::new();
        let of_server = shutdown.clone();
        let server = tokio::spawn(async move { server.serve(listener, &of_server).await });
        Self { address, seen, shutdown, server }
    }

    /// One that answers with the text it was sent.
    pub(super) async fn echo() -> Self {
        Self::start(|_, _, text| Some(Ok(text.to_owned()))).await
    }

    /// Calls that reached the servicer.
    pub(super) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts off what runs.
    pub(super) async fn kill(self) {
        self.shutdown.stop();
        self.server.await.expect("no panic");
    }

    /// Lets what runs finish.
    pub(super) async fn drain(self) {
        self.shutdown.drain();
        self.server.await.expect("no panic");
    }
}

/// Settings that wait no longer than a test has to; `change` replaces what it names.
pub(super) fn factory(change: &Value) -> ClientFactory {
    let mut settings = json!({"retry_backoff_base": 0.002, "retry_backoff_max": 0.01, "default_timeout": 20});
    for (key, value) in change.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    let config: ClientConfig = serde_json::from_value(settings).expect("settings");
    ClientFactory::from_config(config).expect("a factory").services(DESCRIPTOR).expect("a descriptor")
}

pub(super) fn client(url: &str, change: &Value) -> EchoClient<Channel> {
    let channel = factory(change).channel(url).expect("a channel");
    stub!(EchoClient, channel)
}
