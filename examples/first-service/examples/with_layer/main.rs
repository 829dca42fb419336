//! The first service, with a layer of its own around its servicer.

use std::error::Error;
use std::process::ExitCode;

use first_service::proto::{DESCRIPTOR, my_service_server::MyServiceServer};
use first_service::servicer::Servicer;
use hive_grpc_kit::access_log::AccessLog;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::layered::layered;
use hive_grpc_kit::servicer;
use hive_grpc_kit::settings::{self, Settings};

mod per_caller;

use per_caller::PerCallerLayer;

fn main() -> ExitCode {
    settings::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::load()?;
    let servicer = Servicer::new([("123", "a resource")]);
    let servicer = servicer!(MyServiceServer, servicer, &settings.server);
    ServerBuilder::new(settings.server, settings.environment)
        .register(layered(&PerCallerLayer::new(20), servicer), DESCRIPTOR)
        .access_log(AccessLog::to(std::io::stdout())?)
        .build()?
        .run()?;
    Ok(())
}
