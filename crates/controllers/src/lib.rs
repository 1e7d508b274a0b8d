//! The controllers, and the one driver that runs them all.
//!
//! A controller is two things: a pure function that looks at a snapshot of caches and says what to write (a [`Plan`]), and
//! a list of which changes of which kinds make it look at which key. Everything else is the [driver](driver)'s: queueing,
//! back-off, resync, leadership, execution, counters.
//!
//! **Invariant.** A plan that is made from an outdated cache cannot do harm. Three things hold it:
//!
//! 1. Every write is guarded: updates carry the resourceVersion they were planned from, deletions the UID, and everything
//!    the Raft term in which the planner leads. A plan is written as one log entry, whole or not at all.
//! 2. Names of new objects are a function of what the snapshot shows (owner and existing dependents), not of chance. The
//!    same view plans the same names, so a repetition, by this leader or by the next, meets `AlreadyExists`.
//! 3. A key is not planned again before the caches contain its own last write.
//!
//! Absent on purpose: expectations, timers inside controllers, and any state that a new leader would have to rebuild.

mod caches;
mod custom;
pub mod deployment;
mod driver;
pub mod endpoint_slice;
pub mod garbage;
mod metrics;
pub mod namespace;
pub mod node_lifecycle;
mod options;
mod partial;
mod placed;
pub mod plan;
pub mod pod_gc;
pub mod replica_set;
pub mod root_ca;
mod service;
pub mod service_account;
mod suffix;

pub use metrics::{Counters, Metrics};
pub use options::Options;
pub use partial::Partial;
pub use plan::Plan;
pub use service::{Error, Handle, Service};
