//! Compiles `proto/` with protox, so that no `protoc` is needed.

use std::path::PathBuf;

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
    println!("cargo:rerun-if-changed={}", root.display());
    Ok(())
}
