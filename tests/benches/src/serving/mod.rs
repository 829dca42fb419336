//! The ticket service over gRPC as its callers meet it, beside the least that could answer the same calls.
//!
//! Both are processes of their own. Short slices of load alternate between them, so that whatever else happens on the
//! machine meets both; a figure is the median of the quotients of neighbouring slices.
//!
//! | file | owns |
//! | --- | --- |
//! | `process` | starting and ending the two |
//! | `load` | the calls, and so many of them at once |
//! | `scale` | reading among few and among many tickets |
//! | `reference` | the least that answers: tonic, the statements of `hive-sql`, nothing else |

mod load;
mod process;
pub(crate) mod reference;
pub(crate) mod scale;

use std::time::Duration;

use crate::report::Report;
use crate::server;
use load::{Call, Caller, Slice};
use process::Server;

/// Slices of each server in a figure.
const PAIRS: usize = 12;
/// How long a slice lasts.
const SLICE: Duration = Duration::from_millis(400);
/// Tickets each server holds before anything is measured.
const STOCK: usize = 10_000;

/// On PostgreSQL, in a private server; each of the two in a database of its own.
pub(crate) async fn on_postgres(report: &mut Report, wanted: &str) {
    let cluster = server::start().await;
    for name in ["hive", "hive_reference"] {
        cluster.create(name).unwrap();
    }
    measure(report, "postgres", Some(&cluster.url("hive")), wanted).await;
}

/// Measures the calls whose name contains `wanted`, 64 and one at a time, on the engine that `database` names: a folder of
/// files when it is absent.
pub(crate) async fn measure(report: &mut Report, name: &str, database: Option<&str>, wanted: &str) {
    let (hive, reference) = (Server::hive(database), Server::reference(database));
    let (mut ours, mut theirs) = (hive.caller(STOCK).await, reference.caller(STOCK).await);
    for (call, callers) in [
        (Call::Create, 64),
        (Call::Get, 64),
        (Call::Update, 64),
        (Call::List, 64),
        (Call::CreateMany, 4),
        (Call::Create, 1),
        (Call::Get, 1),
        (Call::Update, 1),
    ] {
        if !call.to_string().contains(wanted) {
            continue;
        }
        let mut quotients = Vec::with_capacity(PAIRS);
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for round in 0..PAIRS {
            let (mine, yours) = if round % 2 == 0 {
                let mine = slice(&mut ours, call, callers).await;
                (mine, slice(&mut theirs, call, callers).await)
            } else {
                let yours = slice(&mut theirs, call, callers).await;
                (slice(&mut ours, call, callers).await, yours)
            };
            quotients.push(mine.rate() / yours.rate());
            here.push(mine);
            there.push(yours);
        }
        let goal = if callers == 64 && call != Call::CreateMany { "of it (at least 0.75)" } else { "of it" };
        let what = format!("{call}, {callers} at once");
        report.add(name, format!("{what}: beside the reference"), median(&mut quotients), goal);
        for (who, slices) in [("hive", &here), ("reference", &there)] {
            let mut rates: Vec<f64> = slices.iter().map(Slice::rate).collect();
            report.add(name, format!("{what}: {who}"), median(&mut rates), "/s");
            report.add(name, format!("{what}: {who}, p99"), load::p99_ms(slices), "ms");
        }
    }
}

async fn slice(caller: &mut Caller, call: Call, callers: usize) -> Slice {
    caller.prepare(call).await;
    caller.slice(call, callers, SLICE).await
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
