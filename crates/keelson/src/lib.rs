//! What the `keelson` binary is made of. This is the only place that wires the crates together.

pub mod agent;
pub mod dev;
pub mod pki;
mod run;
pub mod server;
pub mod store;
