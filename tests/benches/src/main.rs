//! Measures what the project promises, on a release build, with the flush time of the disk beside it.
//!
//! `cargo xtask bench` builds and runs it; an argument picks the measurements whose name contains it, another one the
//! calls of `serving`.
#![expect(clippy::print_stdout, reason = "the figures are for a terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made is worth nothing")]

mod disk;
mod plans;
mod report;
mod run;
mod serving;
mod start;
mod tickets;
mod validation;
mod writes;

use report::Report;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let call = std::env::args().nth(2).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if wanted == serving::reference::COMMAND {
        let database = std::env::args().nth(2).expect("the database");
        return runtime.block_on(serving::reference::serve(&database));
    }
    let mut report = Report::default();
    report.add("disk", "flushes of one page", disk::flushes_per_second(), "/s, the floor of every commit");
    if "validation".contains(&wanted) {
        validation::measure(&mut report);
    }
    if "generation".contains(&wanted) {
        runtime.block_on(tickets::generation(&mut report));
    }
    if "life".contains(&wanted) {
        runtime.block_on(tickets::life(&mut report));
    }
    if "run".contains(&wanted) {
        run::measure(&mut report);
    }
    if "start".contains(&wanted) {
        start::measure(&mut report);
    }
    if "serving".contains(&wanted) {
        runtime.block_on(serving::measure(&mut report, "serving", None, &call));
    }
    if "postgres-serving".contains(&wanted) {
        let cluster = hive_postgres::Cluster::start().unwrap();
        for name in ["hive", "hive_reference"] {
            cluster.create(name).unwrap();
        }
        let database = cluster.url("hive");
        runtime.block_on(serving::measure(&mut report, "postgres", Some(&database), &call));
    }
    if "postgres-writes".contains(&wanted) {
        runtime.block_on(writes::measure(&mut report));
    }
    print!("{report}");
}
