//! The `hive` binary: the composition root, and the only crate that sees both sides of the hexagon.
//!
//! | file | owns |
//! | --- | --- |
//! | `cli`, `commands` | the command line and what it does |
//! | `settings` | what can be set |
//! | `roles`, `contracts` | what a process serves |
//! | `serve` | the ports: gRPC and HTTP servers around the contexts |
//! | `telemetry` | metrics, traces |
//! | `wire` | which adapter stands behind which port |
//! | `background` | what goes on beside the work itself |
//! | `lock` | the data folder |
//! | `progress`, `output`, `console`, `logging`, `exit` | what the user sees |
//! | `convert` | from the domain to the wire |
//! | `clock`, `ids`, `signals` | the real time, real randomness, being told to stop |

mod background;
mod cli;
mod clock;
mod commands;
mod console;
mod contracts;
mod convert;
mod exit;
mod ids;
mod lock;
mod logging;
mod output;
mod progress;
mod roles;
mod serve;
mod settings;
mod signals;
mod telemetry;
mod wire;

/// A server that has written a million tickets must list as quickly as a new one; with the allocator of glibc, whose heap
/// is in pieces by then, it takes twice as long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    commands::execute().into()
}
