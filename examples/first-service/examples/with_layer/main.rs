//! The first service, with a layer of its own around its servicer.

use first_service::proto::{DESCRIPTOR, my_service_server::MyServiceServer};
use first_service::servicer::Servicer;
use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::server::layered::layered;
use hive_grpc_kit::servicer;

mod per_caller;

use per_caller::PerCallerLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servicer = servicer!(MyServiceServer, Servicer::new([("123", "a resource")]));
    let server = ServerBuilder::new(Config::default(), Environment::Development)
        .register(layered(&PerCallerLayer::new(20), servicer), DESCRIPTOR)
        .build()?;
    let shutdown = Shutdown::new();
    tokio::spawn(shutdown.clone().advance_on_signals());
    server.bind_and_serve(&shutdown).await?;
    Ok(())
}
