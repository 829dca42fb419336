//! Measures what the project promises, on a release build, with the flush time of the disk beside it.
//!
//! `cargo xtask bench` builds and runs it; an argument picks the measurements whose name contains it, another one the
//! calls of `serving` and `postgres`, or the engine of `million`.
#![expect(clippy::print_stdout, reason = "the figures are for a terminal")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made is worth nothing")]

mod disk;
mod plans;
mod report;
mod run;
mod server;
mod serving;
mod start;
mod tickets;
mod validation;
mod writes;

use report::Report;

/// That of the binary, so that the reference has no worse one, and a caller's own heap is not what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (wanted, call) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if wanted == serving::reference::COMMAND {
        return runtime.block_on(serving::reference::serve(&call));
    }
    let mut report = Report::default();
    report.add("disk", "flushes of one page", disk::flushes_per_second(), "/s, the floor of every commit");
    for name in
        ["validation", "generation", "life", "run", "start", "serving", "postgres", "million", "writes"]
    {
        if name.contains(&wanted) {
            match name {
                "validation" => validation::measure(&mut report),
                "generation" => runtime.block_on(tickets::generation(&mut report)),
                "life" => runtime.block_on(tickets::life(&mut report)),
                "run" => run::measure(&mut report),
                "start" => start::measure(&mut report),
                "serving" => runtime.block_on(serving::measure(&mut report, "serving", None, &call)),
                "million" => runtime.block_on(serving::scale::measure(&mut report, &call)),
                "writes" => runtime.block_on(writes::measure(&mut report)),
                _ => runtime.block_on(serving::on_postgres(&mut report, &call)),
            }
        }
    }
    print!("{report}");
}
