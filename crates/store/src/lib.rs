//! Raft-replicated MVCC key-value store on RocksDB, served as etcd v3.

pub mod auth;
pub mod backup;
pub mod corruption;
pub mod error;
pub mod etcd_v3;
pub mod health;
pub mod import;
pub mod lease;
#[doc(hidden)]
pub mod machine;
pub mod options;
pub mod peer_tls;
pub mod reload;
pub mod service;
pub mod state;
pub mod watch;

mod apply;
mod damage;
mod disk;
mod forward;
mod handle;
mod leadership;
mod lease_keeper;
mod member;
mod membership;
mod metrics;
mod mvcc;
mod peers;
mod propose;
mod raft;
mod read_index;
mod status;

pub use apply::validate;
pub use error::Error;
pub use handle::{Handle, Piece};
pub use options::{Options, Peer, Tls};
pub use service::{Service, Store};
pub use status::{Member, MemberStatus, Status};
