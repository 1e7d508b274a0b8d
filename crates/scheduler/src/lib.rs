//! Binds pods to nodes.
//!
//! A pure core decides and a thin shell does the I/O. The core is a [`cluster`] (an incrementally kept picture of nodes and
//! of what runs on them), a [`queue`] of pods that wait, and [`decide`], which places a batch of pods on an immutable
//! snapshot. [`plugins`] holds one filter or score a file, named as in Kubernetes. The shell ([`service`]) feeds the core
//! from reflector caches, and binds in batches, fenced by the term in which this member leads.
//!
//! **Invariant**: a node is never given more than it has, as far as this scheduler has seen. A decision is *assumed* on the
//! node at once, before it is written, and forgotten only when the write was refused or its outcome stayed unknown.

pub mod cluster;
pub mod decide;
pub mod node;
mod options;
pub mod plugins;
pub mod pod;
pub mod queue;
mod service;

pub use options::Options;
pub use service::{Error, Service};
