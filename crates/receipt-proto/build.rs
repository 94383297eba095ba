//! Compiles the contract with protox, so that no protoc has to be installed.

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let proto = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = ["event.proto", "receipt_service.proto"].map(|f| proto.join("receipts/v1").join(f));
    for file in &files {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    let descriptors = protox::compile(&files, [&proto])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .file_descriptor_set_path(out.join("receipts.bin"))
        .bytes(".receipts.v1.ReceiptDelta")
        .compile_fds(descriptors)?;
    Ok(())
}
