//! `keelson dev`: a whole cluster on this machine, for people and for tests.

pub mod cluster;
pub mod commands;
pub mod layout;
pub mod process;
pub mod ready;
pub mod scratch;

pub use cluster::Cluster;
pub use layout::{Detour, Layout, Spec};
pub use process::Process;
pub use scratch::Scratch;
