//! Servers that a command asks.

use hive_grpc_kit::client::{Channel, TargetError};

use crate::exit::Failure;
use crate::settings::Settings;
use crate::wire::link::Clients;

/// A server by its address.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) channel: Channel,
}

/// The servers at these URLs, or at `host:port`. They are reached with the first call.
pub(super) fn servers(urls: Vec<String>, settings: &Settings) -> Result<Vec<Server>, Failure> {
    let scheme = settings.peers.scheme();
    let whole = |url: String| if url.contains("://") { url } else { format!("{scheme}://{url}") };
    let clients = Clients::of_command(settings)?;
    let server = |url: String| match clients.channel(&url) {
        Ok(channel) => Ok(Server { url, channel }),
        Err(TargetError::Unknown { .. }) => Err(Failure::Usage(format!("{url} is no address of a server"))),
        Err(error) => Err(Failure::Usage(format!("wrong settings\n{error}"))),
    };
    urls.into_iter().map(whole).map(server).collect()
}

/// Where orchestration is on this machine.
pub(super) fn orchestration(settings: &Settings) -> String {
    format!("{}://127.0.0.1:{}", settings.peers.scheme(), settings.orchestration.grpc_port)
}
