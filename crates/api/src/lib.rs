//! The API server: one pipeline, two fronts.
//!
//! [`service::Service`] binds the port and starts everything. [`pipeline::Pipeline`] is what both fronts call, [`cache`] is
//! what it reads, the store's guarded transactions are what it writes.

pub mod cache;
mod custom;
mod grpc;
mod keys;
pub mod managed;
pub(crate) mod metrics;
mod node_tunnel;
mod node_usage;
pub mod options;
pub mod patch;
pub mod pipeline;
pub mod protobuf;
pub mod rbac;
pub mod rest;
mod select;
pub mod service;
mod status_code;
pub mod tls;
mod value;

pub use options::Options;
pub use service::Service;
