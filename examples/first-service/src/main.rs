//! Puts the kit around the servicer and serves until SIGTERM.

use first_service::proto::{DESCRIPTOR, my_service_server::MyServiceServer};
use first_service::servicer::Servicer;
use hive_grpc_kit::access_log::AccessLog;
use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::servicer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servicer = Servicer::new([("123", "a resource")]);
    let server = ServerBuilder::new(Config::default(), Environment::Development)
        .register(servicer!(MyServiceServer, servicer), DESCRIPTOR)
        .access_log(AccessLog::to(std::io::stdout())?)
        .build()?;
    let shutdown = Shutdown::new();
    tokio::spawn(shutdown.clone().advance_on_signals());
    server.bind_and_serve(&shutdown).await?;
    Ok(())
}
