//! `hive up` on an existing folder: how soon it serves, what it holds and burns while nobody asks.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hive_proto::grpc::neural_hive::execution as wire;
use hive_proto::grpc::neural_hive::execution::ticket_service_client::TicketServiceClient;

use tonic::transport::Endpoint;

use crate::report::Report;
use crate::run::binary;

const STARTS: usize = 9;
const IDLE: Duration = Duration::from_secs(10);
/// Of the kernel's clock that /proc counts processor time in.
const TICKS_A_SECOND: f64 = 100.0;

pub(crate) fn measure(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let mut times = Vec::new();
    for round in 0..=STARTS {
        let begin = Instant::now();
        let (mut process, address) = up(folder.path());
        answers(&address);
        let took = begin.elapsed();
        // The first start makes the folder.
        if round > 0 {
            times.push(took.as_secs_f64() * 1_000.0);
        }
        if round == STARTS {
            let before = ticks(&process);
            idle();
            let burnt = (ticks(&process) - before) / TICKS_A_SECOND / IDLE.as_secs_f64() * 100.0;
            report.add("start", "hive up, idle: processor", burnt, "% (under 0.5)");
            report.add(
                "start",
                "hive up, idle: resident memory",
                resident_mb(&process),
                "MB (at most 40, goal 20)",
            );
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    times.sort_by(f64::total_cmp);
    let what = format!("hive up, exec to the first answered call, median of {STARTS}");
    report.add("start", what, times[times.len() / 2], "ms (at most 60, goal 20)");
}

fn up(folder: &Path) -> (Child, String) {
    let mut command = Command::new(binary());
    command.args(["up", "--data"]).arg(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    for port in [
        "GRPC__SERVER__PORT",
        "TICKETS__GRPC_PORT",
        "ORCHESTRATION__GRPC_PORT",
        "HTTP_PORT",
        "PROMETHEUS_PORT",
    ] {
        command.env(port, "0");
    }
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("tickets serves")).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    (process, line.trim().rsplit(' ').next().unwrap().to_owned())
}

/// One call that reads the database.
fn answers(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = TicketServiceClient::new(channel);
        client.list_tickets(wire::ListTicketsRequest { limit: 1, ..Default::default() }).await.unwrap();
    });
}

/// Doing nothing for a while is what is measured.
fn idle() {
    let until = Instant::now() + IDLE;
    while let Some(rest) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
}

fn ticks(process: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // The name in brackets may hold spaces; utime and stime are the 14th and 15th field.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
}

fn resident_mb(process: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
