//! The etcd front as its clients see it, over real connections to a running cluster of three members.
//!
//! The wire is spoken in three ways: by the generated clients, which can say everything; by the `etcd-client` crate; and by
//! etcd's own etcdctl of two versions. Tests share one cluster and keep to keys of their own; those that compact or move
//! the leader start one for themselves.

mod auth;
mod auth_etcdctl;
mod backups;
mod certificates;
mod cluster;
mod discovery;
mod election;
mod etcd_client;
mod etcdctl;
mod eventually;
mod gateway;
mod http;
mod kv;
mod leaderless;
mod lease;
mod limits;
mod lock;
mod maintenance;
mod metrics;
mod ports;
mod range;
mod watch;
mod watch_stream;
mod web;

use eventually::{PATIENCE, eventually};

/// How long etcdctl tries; a few seconds by itself, which may be too little on a busy machine.
const PATIENT: [&str; 2] = ["--dial-timeout=60s", "--command-timeout=60s"];

/// What a call was refused with.
fn refusal<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> (tonic::Code, String) {
    let status = result.expect_err("it must be refused");
    (status.code(), status.message().to_owned())
}
