//! Which path of the gateway is which method.

use std::collections::HashMap;

use http::Uri;
use prost_reflect::{DescriptorPool, MethodDescriptor};

/// etcd's paths after `/v3/`, some of them older names of the same.
const PATHS: &[(&str, &str)] = &[
    ("kv/range", "etcdserverpb.KV/Range"),
    ("kv/put", "etcdserverpb.KV/Put"),
    ("kv/deleterange", "etcdserverpb.KV/DeleteRange"),
    ("kv/txn", "etcdserverpb.KV/Txn"),
    ("kv/compaction", "etcdserverpb.KV/Compact"),
    ("watch", WATCH),
    ("lease/grant", "etcdserverpb.Lease/LeaseGrant"),
    ("lease/revoke", "etcdserverpb.Lease/LeaseRevoke"),
    ("lease/keepalive", "etcdserverpb.Lease/LeaseKeepAlive"),
    ("lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive"),
    ("lease/leases", "etcdserverpb.Lease/LeaseLeases"),
    ("kv/lease/revoke", "etcdserverpb.Lease/LeaseRevoke"),
    ("kv/lease/timetolive", "etcdserverpb.Lease/LeaseTimeToLive"),
    ("kv/lease/leases", "etcdserverpb.Lease/LeaseLeases"),
    ("cluster/member/add", "etcdserverpb.Cluster/MemberAdd"),
    ("cluster/member/remove", "etcdserverpb.Cluster/MemberRemove"),
    ("cluster/member/update", "etcdserverpb.Cluster/MemberUpdate"),
    ("cluster/member/list", "etcdserverpb.Cluster/MemberList"),
    ("cluster/member/promote", "etcdserverpb.Cluster/MemberPromote"),
    ("maintenance/alarm", "etcdserverpb.Maintenance/Alarm"),
    ("maintenance/status", "etcdserverpb.Maintenance/Status"),
    ("maintenance/defragment", "etcdserverpb.Maintenance/Defragment"),
    ("maintenance/hash", "etcdserverpb.Maintenance/Hash"),
    ("maintenance/hashkv", "etcdserverpb.Maintenance/HashKV"),
    ("maintenance/snapshot", "etcdserverpb.Maintenance/Snapshot"),
    ("maintenance/transfer-leadership", "etcdserverpb.Maintenance/MoveLeader"),
    ("maintenance/downgrade", "etcdserverpb.Maintenance/Downgrade"),
    ("auth/enable", "etcdserverpb.Auth/AuthEnable"),
    ("auth/disable", "etcdserverpb.Auth/AuthDisable"),
    ("auth/status", "etcdserverpb.Auth/AuthStatus"),
    ("auth/authenticate", "etcdserverpb.Auth/Authenticate"),
    ("auth/user/add", "etcdserverpb.Auth/UserAdd"),
    ("auth/user/get", "etcdserverpb.Auth/UserGet"),
    ("auth/user/list", "etcdserverpb.Auth/UserList"),
    ("auth/user/delete", "etcdserverpb.Auth/UserDelete"),
    ("auth/user/changepw", "etcdserverpb.Auth/UserChangePassword"),
    ("auth/user/grant", "etcdserverpb.Auth/UserGrantRole"),
    ("auth/user/revoke", "etcdserverpb.Auth/UserRevokeRole"),
    ("auth/role/add", "etcdserverpb.Auth/RoleAdd"),
    ("auth/role/get", "etcdserverpb.Auth/RoleGet"),
    ("auth/role/list", "etcdserverpb.Auth/RoleList"),
    ("auth/role/delete", "etcdserverpb.Auth/RoleDelete"),
    ("auth/role/grant", "etcdserverpb.Auth/RoleGrantPermission"),
    ("auth/role/revoke", "etcdserverpb.Auth/RoleRevokePermission"),
    ("election/campaign", "v3electionpb.Election/Campaign"),
    ("election/proclaim", "v3electionpb.Election/Proclaim"),
    ("election/leader", "v3electionpb.Election/Leader"),
    ("election/observe", "v3electionpb.Election/Observe"),
    ("election/resign", "v3electionpb.Election/Resign"),
    ("lock/lock", "v3lockpb.Lock/Lock"),
    ("lock/unlock", "v3lockpb.Lock/Unlock"),
];

const WATCH: &str = "etcdserverpb.Watch/Watch";

/// One method.
#[derive(Clone)]
pub(in crate::etcd_v3) struct Route {
    pub(super) call_path: Uri,
    pub(super) method: MethodDescriptor,
    /// Whether the call goes on when the client has sent all its requests: `curl` sends one watch, and wants its events.
    pub(super) outlives_requests: bool,
}

/// All of them, by what follows `/v3/` or `/v3beta/`.
pub(in crate::etcd_v3) struct Routes(HashMap<&'static str, Route>);

impl Routes {
    /// Those of [`PATHS`].
    pub(in crate::etcd_v3) fn new() -> Self {
        let pool = DescriptorPool::decode(keelson_proto::ETCD_DESCRIPTORS).expect("the build made the descriptors");
        let mut routes = HashMap::new();
        for (path, name) in PATHS {
            let route = find(&pool, name).expect("the table names methods that there are");
            routes.insert(*path, route);
        }
        Self(routes)
    }

    /// By the whole path of a request.
    pub(super) fn find(&self, path: &str) -> Option<&Route> {
        self.0.get(super::PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))?)
    }
}

fn find(pool: &DescriptorPool, name: &str) -> Option<Route> {
    let (service, method) = name.split_once('/')?;
    let method = pool.get_service_by_name(service)?.methods().find(|found| found.name() == method)?;
    let call_path = Uri::try_from(format!("/{name}")).ok()?;
    Some(Route { call_path, method, outlives_requests: name == WATCH })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_etcd_has_a_path_but_the_one_that_etcd_leaves_out() {
        let pool = DescriptorPool::decode(keelson_proto::ETCD_DESCRIPTORS).expect("descriptors");
        let missing: Vec<String> = pool
            .services()
            .flat_map(|service| {
                service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect::<Vec<_>>()
            })
            .filter(|name| !PATHS.iter().any(|(_, known)| known == name))
            .collect();
        assert_eq!(missing, ["etcdserverpb.KV/RangeStream"]);
        assert!(Routes::new().find("/v3/kv/range").is_some());
        assert!(Routes::new().find("/v3beta/kv/range").is_some());
        assert!(Routes::new().find("/v3/kv/rangestream").is_none());
    }
}
