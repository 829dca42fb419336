//! `cargo xtask`: everything around the build. Each command has a file of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool speaks on the terminal")]

mod bench;
mod instructions;
mod postgres;
mod step;
mod test;
mod workspace;
mod written;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test          every check a change must pass, cheapest first; what CI runs
  bench [name]  the numbers the project promises, release build, one run; a name picks some
  bench instructions
                what each layer of the gRPC kit costs; writes docs/reference/grpc-kit-costs.md
  instructions  whether a layer costs more than docs/reference/grpc-kit-costs.md says
  dependencies  rewrite the list of direct dependencies the architecture test compares
  reference     rewrite the reference page of the gRPC kit's settings
  help          this text";

/// The exit code of wrong usage, as in BSD's sysexits.
const WRONG_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(),
        ["bench", "instructions"] => instructions::write(),
        ["instructions"] => instructions::check(),
        ["bench", names @ ..] => bench::run(names),
        ["dependencies"] => written::run(&written::DEPENDENCIES),
        ["reference"] => written::run(&written::REFERENCE),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}
