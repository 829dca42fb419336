//! Compiles the health protocol, and the test suite's own service, without protoc.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    for (root, file) in [("proto", "grpc/health/v1/health.proto"), ("tests/proto", "echo.proto")] {
        println!("cargo:rerun-if-changed={root}/{file}");
        let mut compiler = protox::Compiler::new([root])?;
        compiler.include_source_info(false).include_imports(true).open_file(file)?;
        let stem = Path::new(file).file_stem().ok_or("a proto file without a name")?;
        let descriptor = Path::new(&out).join(stem).with_extension("bin");
        std::fs::write(descriptor, compiler.encode_file_descriptor_set())?;
        tonic_prost_build::configure().build_transport(false).compile_fds(compiler.file_descriptor_set())?;
    }
    Ok(())
}
