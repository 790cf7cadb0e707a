//! Compiles the contract without `protoc`.

use std::path::Path;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked for when it runs, not when it was compiled: another checkout may share the folder it was built in.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo runs this")?;
    let root = Path::new(&root);
    let mut files: Vec<_> = ["auth", "client"]
        .iter()
        .map(|package| root.join("portcullis").join(package).join("v1"))
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    println!("cargo::rerun-if-changed=portcullis");

    let descriptors = protox::compile(&files, [root])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    let transport = std::env::var_os("CARGO_FEATURE_TRANSPORT").is_some();
    tonic_prost_build::configure()
        .build_client(transport)
        .build_server(transport)
        // In one order, so that one message has one encoding.
        .btree_map(".portcullis")
        .bytes(".portcullis.auth.v1.LogEntry.payload")
        .compile_fds(descriptors)?;
    Ok(())
}
