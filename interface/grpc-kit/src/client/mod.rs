//! The client side: a channel a target, built once from the settings, that cannot start a retry storm.
//!
//! A call passes, from the outside in: the deadline of the whole call, the message limits, retries, and then for every
//! attempt its metrics, what is written into its headers (trace, correlation id, token), and the balancer, which chooses
//! a connection to an address whose circuit breaker lets the call through and writes the remaining time.
//!
//! ```no_run
//! # mod echo {
//! #     tonic::include_proto!("kit.test.v1");
//! #     pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/echo.bin"));
//! # }
//! # use echo::{EchoRequest, echo_client::EchoClient};
//! use hive_grpc_kit::{client::{ClientConfig, ClientFactory}, stub};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // One factory a process. The descriptors say which methods may be sent again.
//! let factory = ClientFactory::from_config(ClientConfig::default())?.services(echo::DESCRIPTOR)?;
//! let channel = factory.channel("http://127.0.0.1:50051")?; // connects at the first call
//! let mut client = stub!(EchoClient, channel);
//! let answer = client.unary(EchoRequest { text: "hello".into(), count: 0 }).await?;
//! # Ok(())
//! # }
//! ```

mod balance;
mod breaker;
mod channel;
mod config;
mod credentials;
mod deadline;
mod factory;
mod handed;
mod inject;
mod metrics;
mod outgoing;
mod retry;

pub use balance::resolve::{Dns, Resolve};
pub use channel::{Channel, ResponseBody, ResponseFuture};
pub use config::{ClientAuthConfig, ClientConfig, ClientConfigError, TargetConfig};
pub use credentials::{Credentials, Token, TokenSource};
pub use factory::{ClientFactory, TargetError};
pub use inject::Propagate;
pub use metrics::{ENDPOINTS, HANDLED, HANDLING_SECONDS, IN_FLIGHT, RECEIVED, RETRIES, SENT, STARTED};

/// A generated client on a [`Channel`], with the channel's limits and compression instead of its own.
///
/// `stub!(EchoClient, channel)` is `EchoClient::new(channel)` with the channel's MAX_MESSAGE_SIZE and COMPRESSION.
#[macro_export]
macro_rules! stub {
    ($client:ident $(:: $rest:ident)*, $channel:expr $(,)?) => {{
        let channel: $crate::client::Channel = $channel;
        let (compression, max) = (channel.compression(), channel.max_message_size());
        $crate::__with_compression!($client $(:: $rest)* ::new(channel), compression, max)
    }};
}
