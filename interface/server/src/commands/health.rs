//! `hive health`: how servers say they are.

use std::time::Duration;

use hive_grpc_kit::health::proto::HealthCheckRequest;
use hive_grpc_kit::health::proto::health_check_response::ServingStatus;
use hive_grpc_kit::health::proto::health_client::HealthClient;

use super::server::{self, Server};
use crate::cli::HealthArgs;
use crate::console::{Output, Screen};
use crate::exit::{Exit, Failure};
use crate::output::words::clean;
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Asks every server; 0 when all serve, 1 otherwise.
pub(super) fn execute(args: &HealthArgs, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let _telemetry = Telemetry::logs(settings, &Screen::plain())?;
    let peers = &settings.peers;
    let own = || vec![peers.registry(), peers.tickets(), server::orchestration(settings)];
    let urls = if args.server.is_empty() { own() } else { args.server.clone() };
    super::runtime()?.block_on(async {
        let mut all_serve = true;
        for server in server::servers(urls, settings)? {
            let (serves, text) = ask(&server).await;
            all_serve &= serves;
            output.text(&format!("{} {}\n", server.url, clean(&text))).map_err(Failure::Output)?;
        }
        Ok(if all_serve { Exit::Success } else { Exit::Unsuccessful })
    })
}

async fn ask(server: &Server) -> (bool, String) {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(ANSWER);
    match HealthClient::new(server.channel.clone()).check(request).await {
        Ok(answer) => {
            let status = answer.into_inner().status();
            (status == ServingStatus::Serving, status.as_str_name().to_owned())
        }
        Err(status) => (false, format!("UNREACHABLE: {}", status.message())),
    }
}
