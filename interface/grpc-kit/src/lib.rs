//! A generic gRPC kit: register a servicer and get routing, reflection and health from one call, a stack of layers in
//! an order that is decided once, and a server that ends in bounded time. It knows no domain and depends on no other
//! crate of the workspace.
//!
//! # Serving
//!
//! ```
//! # mod echo {
//! #     tonic::include_proto!("kit.test.v1");
//! #     pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));
//! # }
//! # use echo::{EchoReply, EchoRequest, echo_server::{Echo, EchoServer}};
//! use hive_grpc_kit::{
//!     call::Call, drain::Shutdown, failure::Failure, server::{builder::ServerBuilder, config::{Config, Environment}},
//!     servicer,
//! };
//! use tonic::{Request, Response, Status, Streaming};
//!
//! struct Servicer;
//!
//! #[tonic::async_trait]
//! impl Echo for Servicer {
//!     async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
//!         let principal = Call::of(&request).and_then(|call| Some(call.principal()?.subject().to_owned()));
//!         let EchoRequest { text, .. } = request.into_inner();
//!         if text.is_empty() {
//!             return Err(Failure::invalid("text", "must not be empty").into());
//!         }
//!         Ok(Response::new(EchoReply { text, principal: principal.unwrap_or_default() }))
//!     }
//! #   type ServerStreamStream = futures_util::stream::Empty<Result<EchoReply, Status>>;
//! #   type BidiStream = futures_util::stream::Empty<Result<EchoReply, Status>>;
//! #   async fn server_stream(&self, _: Request<EchoRequest>) -> Result<Response<Self::ServerStreamStream>, Status> {
//! #       Ok(Response::new(futures_util::stream::empty()))
//! #   }
//! #   async fn client_stream(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
//! #       Ok(Response::new(EchoReply::default()))
//! #   }
//! #   async fn bidi(&self, _: Request<Streaming<EchoRequest>>) -> Result<Response<Self::BidiStream>, Status> {
//! #       Ok(Response::new(futures_util::stream::empty()))
//! #   }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { port: 0, ..Config::default() };
//! let builder = ServerBuilder::new(config, Environment::Development)
//!     .register(servicer!(EchoServer, Servicer), echo::DESCRIPTOR);
//! let database = builder.health().dependency("database");
//! database.up(); // whoever knows reports; nobody asks during a call
//! let server = builder.build()?;
//!
//! let shutdown = Shutdown::new();
//! tokio::spawn(shutdown.clone().advance_on_signals()); // SIGTERM drains, a second one stops
//! # shutdown.drain();
//! let drained = server.bind_and_serve(&shutdown).await?;
//! assert_eq!(drained.cut_off, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! [`settings::Settings::load`] reads every key of the kit from the environment, a file and one commented default file.
//! With it and [`Server::run`](server::serve::Server::run), which does what the end of the example above does, `main` is
//! five lines: `docs/guides/first-service.md`.
//!
//! # Adding a layer
//!
//! `docs/guides/adding-a-layer.md` builds one, step by step. Around one servicer it is mounted by
//! [`layered`](server::layered::layered), around all of them in [`server::stack`].

#![warn(missing_docs)]

pub mod access_log;
mod apart;
pub mod auth;
pub mod call;
pub mod client;
pub mod compression;
pub mod drain;
pub mod early;
mod exemplars;
pub mod failure;
mod frames;
pub mod health;
pub mod layer;
pub mod methods;
pub mod observe;
pub mod openmetrics;
mod origin;
pub mod server;
pub mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
pub mod trace_context;
