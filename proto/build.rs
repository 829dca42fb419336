//! Generates the gRPC messages, clients and servers from `proto/*.proto`. Needs no `protoc`; nothing generated is committed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// The contracts. Each also becomes `<name>.bin`, its descriptor set with everything it imports.
#[rustfmt::skip]
const FILES: &[&str] = &[
    "dispatch.proto",
    "execution.proto",
    "orchestrator.proto",
    "service_registry.proto",
    "ticket_service.proto",
];

/// Where the contracts lie, and what their imports are relative to.
const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for file in FILES {
        let set = protox::compile([file], [ROOT])?;
        fs::write(out.join(file).with_extension("bin"), set.encode_to_vec())?;
    }
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        .include_file("packages.rs")
        .compile_fds(protox::compile(FILES, [ROOT])?)?;
    Ok(())
}
