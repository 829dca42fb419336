//! Puts the kit around the servicer and serves until SIGTERM.

use std::error::Error;
use std::process::ExitCode;

use first_service::proto::{DESCRIPTOR, my_service_server::MyServiceServer};
use first_service::servicer::Servicer;
use hive_grpc_kit::access_log::AccessLog;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::servicer;
use hive_grpc_kit::settings::{self, Settings};

fn main() -> ExitCode {
    // Wrong settings exit with 64, before any socket opens.
    settings::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::load()?;
    let servicer = Servicer::new([("123", "a resource")]);
    let servicer = servicer!(MyServiceServer, servicer, &settings.server);
    ServerBuilder::new(settings.server, settings.environment)
        .register(servicer, DESCRIPTOR)
        .access_log(AccessLog::to(std::io::stdout())?)
        .build()?
        .run()?;
    Ok(())
}
