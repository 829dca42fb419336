//! A caller of the service: deadlines, retries, a circuit breaker and several connections come with its channel.

use hive_grpc_kit::client::ClientFactory;
use hive_grpc_kit::settings::Settings;
use hive_grpc_kit::stub;

use crate::proto::my_service_client::MyServiceClient;
use crate::proto::{DESCRIPTOR, GetResourceRequest};

/// Asks the service at `url` for the name of a resource.
///
/// # Errors
/// When the settings or the URL cannot be used, and when the call fails.
pub async fn name_of(url: &str, id: &str) -> Result<String, Box<dyn std::error::Error>> {
    // One factory a process. The descriptor tells which methods may be sent again.
    let factory = ClientFactory::from_config(Settings::load()?.client)?.services(DESCRIPTOR)?;
    let mut client = stub!(MyServiceClient, factory.channel(url)?);
    let resource = client.get_resource(GetResourceRequest { id: id.to_owned() }).await?;
    Ok(resource.into_inner().name)
}
