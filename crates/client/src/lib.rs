//! The typed client of Keelson's gRPC API, and what loops need on top of it: a list+watch cache, a work queue and an
//! event recorder.
//!
//! Everything that acts on the cluster goes through this crate: the scheduler, the controllers, the agents and `keelctl`
//! are clients like any other, in the same process as a member or far away.
//!
//! - [`Client`] spreads over any number of endpoints and fails over by itself. A write ends done, refused or
//!   [unknown](Error::Unknown); unknown is never turned into refused.
//! - [`reflector`] keeps a local copy of one kind up to date.
//! - [`queue`] hands keys to workers: each key once, and never to two workers at a time.
//! - [`events`] records what happened to an object.
//!
//! The pure parts (queue core, back-off, cache, event correlation) take the time as an argument and do no I/O.

pub mod backoff;
mod client;
mod cluster;
mod error;
pub mod events;
mod kinds;
mod options;
mod patch;
mod pods;
pub mod queue;
mod raw;
pub mod reflector;
mod resource;
mod sessions;
mod transport;
mod watch;
mod write;

pub use client::{Client, List};
pub use cluster::Cluster;
pub use error::Error;
pub use keelson_types::meta::Key;
pub use kinds::Kinds;
pub use options::{DeleteOptions, ListOptions, Options, Propagation, Tls, WatchOptions};
pub use patch::Patch;
pub use pods::LogStream;
pub use raw::{Applied, Outcome, Raw, RawList, Warned};
pub use resource::{ObjectName, Resource};
pub use sessions::{Forwarded, SessionEvent, SessionInput, SessionOutput};
pub use watch::{Batch, Event, Watch};
pub use write::{Operation, WriteResult};

/// The messages of `keelson.api.v1`, for requests that this crate passes through as they are.
pub use keelson_proto::keelson::api::v1 as proto;
