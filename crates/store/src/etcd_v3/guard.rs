//! The guard: who sends a request, and what it may do, before anything of the store is touched.
//!
//! It stands in two places. [`Front::gate`] stands before the services and knows each RPC by its path; **an RPC that it does
//! not know is for root only**, so a forgotten one is closed, not open. [`Front::enter`] is where a service that handles keys
//! begins: it gives the request together with its [`Caller`], whose operations check what they are asked for.
//!
//! A new RPC needs a line in [`demand`]; if what it may do depends on keys, it does everything by its `Caller`.
//!
//! **Invariant**: a read is answered only if nothing about permissions had changed when it was done; a write carries the epoch
//! it was checked in, and apply refuses it in another. Both are then tried again, here.

mod caller;
mod credentials;

use http::Extensions;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

pub(super) use caller::{Caller, Reading};
pub(super) use credentials::CommonName;

use super::front::Front;

/// What the gate demands of who calls an RPC while authentication is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// Nothing, or the service demands it, by its [`Caller`].
    InService,
    /// To say who it is.
    User,
    /// The role root.
    Root,
    /// The role root, by the newest permissions: what it does is not checked again when it is applied.
    NewestRoot,
}

/// What each RPC demands, by its path.
fn demand(path: &str) -> Demand {
    match path {
        "/etcdserverpb.KV/Range"
        | "/etcdserverpb.KV/RangeStream"
        | "/etcdserverpb.KV/Put"
        | "/etcdserverpb.KV/DeleteRange"
        | "/etcdserverpb.KV/Txn"
        | "/etcdserverpb.KV/Compact"
        | "/etcdserverpb.Watch/Watch"
        | "/etcdserverpb.Lease/LeaseGrant"
        | "/etcdserverpb.Lease/LeaseRevoke"
        | "/etcdserverpb.Lease/LeaseKeepAlive"
        | "/etcdserverpb.Lease/LeaseTimeToLive"
        | "/etcdserverpb.Lease/LeaseLeases"
        | "/etcdserverpb.Maintenance/Alarm"
        | "/v3electionpb.Election/Campaign"
        | "/v3electionpb.Election/Proclaim"
        | "/v3electionpb.Election/Leader"
        | "/v3electionpb.Election/Observe"
        | "/v3electionpb.Election/Resign"
        | "/v3lockpb.Lock/Lock"
        | "/v3lockpb.Lock/Unlock"
        // How the port is, and what it speaks: no secret to anybody.
        | "/grpc.health.v1.Health/Check"
        | "/grpc.health.v1.Health/Watch"
        | "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        | "/etcdserverpb.Auth/AuthStatus"
        | "/etcdserverpb.Auth/Authenticate"
        | "/etcdserverpb.Auth/UserGet"
        | "/etcdserverpb.Auth/RoleGet" => Demand::InService,
        "/etcdserverpb.Cluster/MemberAdd"
        | "/etcdserverpb.Cluster/MemberRemove"
        | "/etcdserverpb.Cluster/MemberUpdate"
        | "/etcdserverpb.Cluster/MemberPromote"
        | "/etcdserverpb.Maintenance/MoveLeader"
        | "/etcdserverpb.Maintenance/Downgrade" => Demand::NewestRoot,
        "/etcdserverpb.Cluster/MemberList" | "/etcdserverpb.Maintenance/Status" => Demand::User,
        _ => Demand::Root,
    }
}

impl Front {
    /// Whether the gate has anything to check of an RPC. While authentication is off, as far as this member knows, that is
    /// only so for those that are rare.
    pub(super) fn guarded(&self, path: &str) -> bool {
        match demand(path) {
            Demand::InService => false,
            Demand::User | Demand::Root => self.handle.gate().now().1,
            Demand::NewestRoot => true,
        }
    }

    /// Stands before every RPC, whichever way it comes: `path` is `/package.Service/Method`.
    ///
    /// # Errors
    /// What etcd answers to who may not call it.
    pub(super) async fn gate(&self, path: &str, caller: &Caller) -> Result<(), Status> {
        match demand(path) {
            Demand::InService => {}
            Demand::User => drop(caller.known().await?),
            Demand::Root => drop(caller.root().await?),
            Demand::NewestRoot => drop(caller.newest_root().await?),
        }
        Ok(())
    }

    /// The caller with these credentials.
    pub(super) fn caller(&self, metadata: MetadataMap, extensions: Extensions) -> Caller {
        Caller::new(self.handle.clone(), metadata, extensions)
    }

    /// Begins a request: refuses it when it requires a leader and there is none, and gives it with who sent it.
    ///
    /// # Errors
    /// "no leader".
    pub(super) fn enter<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        self.admit(request.metadata())?;
        let (metadata, extensions, message) = request.into_parts();
        Ok((self.caller(metadata, extensions), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rpc_that_the_gate_does_not_know_is_for_root() {
        assert_eq!(demand("/etcdserverpb.KV/Range"), Demand::InService);
        assert_eq!(demand("/etcdserverpb.Cluster/MemberList"), Demand::User);
        assert_eq!(demand("/etcdserverpb.Cluster/MemberAdd"), Demand::NewestRoot);
        for path in [
            "/etcdserverpb.Maintenance/Snapshot",
            "/etcdserverpb.Maintenance/Hash",
            "/etcdserverpb.Auth/UserAdd",
            "/etcdserverpb.KV/Range/",
            "/etcdserverpb.KV/Newer",
            "/other.Service/Method",
            "",
        ] {
            assert_eq!(demand(path), Demand::Root, "{path}");
        }
    }
}
