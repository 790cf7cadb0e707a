//! Compiles the contract of the bare gRPC server.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=bare.proto");
    let descriptors = protox::compile(["bare.proto"], ["."])?;
    tonic_prost_build::configure().bytes(".portcullis.bench.v1.Item.payload").compile_fds(descriptors)?;
    Ok(())
}
