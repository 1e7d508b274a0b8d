//! Compiles `proto/` with protox, so that no `protoc` is needed.

use std::path::{Path, PathBuf};

const FILES: &[&str] = &[
    "etcd/key_value.proto",
    "etcd/permission.proto",
    "etcd/header.proto",
    "etcd/kv.proto",
    "etcd/watch.proto",
    "etcd/lease.proto",
    "etcd/cluster.proto",
    "etcd/maintenance.proto",
    "etcd/auth.proto",
    "etcd/election.proto",
    "etcd/lock.proto",
    "keelson/store/v1/command.proto",
    "keelson/raft/v1/raft.proto",
    "keelson/api/v1/objects.proto",
    "keelson/api/v1/cluster.proto",
    "keelson/api/v1/pods.proto",
    "keelson/api/v1/kinds.proto",
    "keelson/api/v1/discovery.proto",
    "keelson/node/v1/node.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = FILES.iter().map(|file| root.join(file));
    let descriptors = protox::compile(files, [&root])?;
    tonic_prost_build::configure()
        // Keys, values and encoded objects are shared between messages instead of being copied.
        .bytes(".")
        .compile_fds(descriptors)?;
    // What a port describes of itself, and what its JSON is made by.
    keep_descriptors(&root, "etcd.bin", &["etcd/"])?;
    keep_descriptors(&root, "api.bin", &["keelson/api/", "keelson/node/"])?;
    println!("cargo:rerun-if-changed={}", root.display());
    Ok(())
}

/// Writes the descriptors of the files in `folders` where the library includes them from.
fn keep_descriptors(root: &Path, name: &str, folders: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let wanted = |file: &&&str| folders.iter().any(|folder| file.starts_with(folder));
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true);
    compiler.open_files(FILES.iter().filter(wanted).map(|file| root.join(file)))?;
    let path = PathBuf::from(std::env::var("OUT_DIR")?).join(name);
    std::fs::write(path, compiler.encode_file_descriptor_set())?;
    Ok(())
}
