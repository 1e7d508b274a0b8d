//! The store served as etcd v3: KV, Watch, Lease, Cluster, Maintenance, Auth, Election and Lock on one port, as etcd's clients know them.
//!
//! Services translate and nothing more: what a request means is decided by [`Handle`](crate::Handle) and by apply. What a
//! later version brings answers UNIMPLEMENTED. Errors become gRPC statuses in one file, `status_code`.

mod auth;
mod batched;
mod candidacy;
mod cluster;
mod dispatch;
mod election;
mod front;
mod gateway;
mod guard;
mod http;
mod kv;
mod lease;
mod led;
mod lock;
mod maintenance;
mod measure;
mod metrics_port;
mod range;
mod reply;
mod server;
mod status_code;
mod tls;
mod watch;

pub use front::{GRPC_OVERHEAD_BYTES, Limits};
pub(crate) use metrics_port::MetricsPort;
pub use server::{Error, Server};
pub use tls::Error as TlsError;

/// The version of etcd whose API this is. Clients switch features on by it: kube-apiserver asks for watch progress from
/// 3.5.13 on, and RangeStream is there from 3.7 on.
pub const ETCD_VERSION: &str = "3.7.0";
