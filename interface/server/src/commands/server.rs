//! A server that a command asks.

use crate::exit::Failure;
use crate::settings::Settings;
use crate::wire::link::Link;

/// A server by its address.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) link: Link,
}

impl Server {
    /// The server at a URL, or at `host:port`. It is reached with the first call.
    pub(super) fn at(url: &str, settings: &Settings) -> Result<Self, Failure> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let link = Link::single(&url, settings.grpc.credentials())
            .map_err(|_| Failure::Usage(format!("{url} is no address of a server")))?;
        Ok(Server { url, link })
    }
}

/// Where orchestration is on this machine.
pub(super) fn orchestration(settings: &Settings) -> String {
    format!("http://127.0.0.1:{}", settings.orchestration.grpc_port)
}
