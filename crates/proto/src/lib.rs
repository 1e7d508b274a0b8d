//! Generated messages and services: etcd v3 as its clients know it, and Keelson's own protocols.
//!
//! Nothing here is written by hand. The sources, with their comments, are in `proto/` at the root of the repository.

#![allow(clippy::all, clippy::unwrap_used, missing_docs, reason = "generated code")]

/// The services and messages of the etcd port, as an encoded `FileDescriptorSet`.
pub const ETCD_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/etcd.bin"));
/// Those of the API's port.
pub const API_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/api.bin"));

/// etcd v3's key-value pair and event.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}
/// etcd v3's users, roles and permissions.
pub mod authpb {
    tonic::include_proto!("authpb");
}
/// etcd v3's services and their messages.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
/// etcd's Election service.
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}
/// etcd's Lock service.
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// Keelson's own protocols; the module path is the proto package.
pub mod keelson {
    /// The replicated commands.
    pub mod store {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("keelson.store.v1");
        }
    }
    /// Between members.
    pub mod raft {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("keelson.raft.v1");
        }
    }
    /// The native API.
    pub mod api {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("keelson.api.v1");
        }
    }
    /// Between the API and the agents.
    pub mod node {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("keelson.node.v1");
        }
    }
}
