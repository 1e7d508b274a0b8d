//! The node agent: registers nodes, keeps their leases, and runs the pods that are bound to them.
//!
//! A pure core decides: [`lifecycle`] holds what a pod's containers are doing and says what to do next and what to report;
//! [`node`] builds what a node says of itself. A [`runtime::Runtime`] does what the core says and tells what happened;
//! [`simulated`] is one that starts nothing and behaves as if. The shell ([`service`]) watches the API, drives the core and
//! writes statuses in batches. One process hosts any number of nodes with a handful of tasks.
//!
//! **Invariant**: the API's desired state is never changed here, except that a pod whose containers have ended and that is
//! being deleted is deleted for good, guarded by its UID.

mod containers;
pub mod lifecycle;
mod logs;
pub mod node;
mod options;
mod room;
pub mod runtime;
mod service;
pub mod simulated;
mod tunnel;
mod writer;

pub use options::{Invalid, Options};
pub use service::{Error, Service};
