//! Fault injection on real processes, and the checkers of what they did.
//!
//! A scenario starts a [`Cluster`] of real processes, lets clients work on it, hurts it, heals it, and then checks what the
//! clients saw. The scenarios are this crate's tests.
//!
//! The checkers are pure and know nothing of Keelson: they judge a recorded [`history`], or what [`watches`] delivered,
//! against what a correct store may do. Those that the simulation needs, too, are in `keelson-checkers`.

pub mod acknowledged;
mod cluster;
mod proxy;
mod registers;
pub mod watches;
pub mod workload;
mod writers;

pub use cluster::Cluster;
pub use keelson_checkers::{history, linearizability, model};
pub use registers::{Judged, Registers};
pub use writers::Writers;
