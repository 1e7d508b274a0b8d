//! What differs from etcd, and why. The README says the same, in the same words.

/// A server that Keelson is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Etcd34,
    Etcd35,
}

pub struct Difference {
    /// A case, or the beginning of several when it ends with `*`.
    pub case: &'static str,
    pub servers: &'static [Server],
    pub why: &'static str,
}

impl Difference {
    pub fn covers(&self, case: &str, server: Server) -> bool {
        let is_of = match self.case.strip_suffix('*') {
            Some(begin) => case.starts_with(begin),
            None => case == self.case,
        };
        is_of && self.servers.contains(&server)
    }
}

/// Why a case may differ from `server`; `as_35` says that it is as in etcd 3.5.
pub fn why(case: &str, server: Server, as_35: bool) -> Option<&'static str> {
    let listed = DIFFERENCES.iter().find(|difference| difference.covers(case, server)).map(|one| one.why);
    listed.or_else(|| (server == Server::Etcd34 && as_35).then_some(AS_35))
}

/// All that may be given as a reason.
pub fn reasons() -> impl Iterator<Item = &'static str> {
    DIFFERENCES.iter().map(|one| one.why).chain([AS_35])
}

const BOTH: &[Server] = &[Server::Etcd34, Server::Etcd35];

const AS_35: &str = "Where etcd 3.4 and 3.5 answer differently, the answer is that of 3.5.";
const SORTED_THEN_CUT: &str =
    "A range with a sort target, a limit and no order is sorted and then cut; etcd cuts it first.";
const UNKNOWN_ORDER: &str =
    "An unknown sort order is refused with \"invalid sort option\", as since etcd 3.6; before, it was passed over.";
const SHORTEST_LEASE: &str =
    "The shortest lease is one second, since an election takes less time here; etcd's is two seconds.";
const NEGATIVE_START: &str =
    "A watch from a negative revision is refused, as since etcd 3.6.6; before, it began with the next revision.";
const CODES_KEPT: &str = "Election and Lock keep the codes of the errors that they pass on, such as NOT_FOUND; etcd gives the same words with UNKNOWN.";
const CAMPAIGN_REVISION: &str = "The header of a campaign has the revision at which the candidate was seen to be first; etcd's has the one at which it joined.";
const UNKNOWN_METHOD: &str = "A method that there is not is UNIMPLEMENTED as in etcd, but without etcd's words; a malformed path is UNIMPLEMENTED, too.";
const COMPACTED_HEADER: &str =
    "The header that ends a watch of a compacted revision has the newest revision; etcd's has 0.";

const GRANTS: &str = "A permission without a key, of a kind that there is not, or of a range whose end is not after its start is refused with \"invalid auth management\"; etcd 3.4 and 3.5 keep it.";
const AUTH_STATUS: &str = "Whether authentication is on is told to anybody, as since etcd 3.7, and Status only to users, as since etcd 3.6.11; etcd 3.5 does both the other way round.";
const ONE_REFUSAL: &str = "HashKV, Defragment and the like refuse users in the codes and words of all other calls; etcd refuses these with UNKNOWN and \"auth: …\".";
const LEARNER_STAYS: &str = "MemberUpdate leaves a learner a learner, as since etcd 3.6.12; before, it became a voter.";
const PAGES: &str = "There are `/livez` and `/readyz`, and `storage` in `/version`, as since etcd 3.6; `/metrics` does not name its charset, and an answer to OPTIONS names a type.";
const AUTHORITY: &str = "etcdctl 3.4 names an endpoint with `http://` in a way that HTTP/2 does not allow when it asks one member (`defrag`, `move-leader`, `endpoint status`): such a request is ended with PROTOCOL_ERROR; without the scheme it is served.";
const METRICS: &str = "`/metrics` has etcd's figures as far as there is something to measure.";
const MORE_METRICS: &str = "More than etcd's are `process_threads` and, which etcd has by `--metrics=extensive`, `grpc_server_handling_seconds`.";

pub const DIFFERENCES: &[Difference] = &[
    Difference { case: "range: sorted by Version None", servers: BOTH, why: SORTED_THEN_CUT },
    Difference { case: "range: an unknown order", servers: BOTH, why: UNKNOWN_ORDER },
    Difference { case: "range: a negative order", servers: BOTH, why: UNKNOWN_ORDER },
    Difference { case: "txn refused: an unknown order", servers: BOTH, why: UNKNOWN_ORDER },
    Difference { case: "lease: grant for*", servers: BOTH, why: SHORTEST_LEASE },
    Difference { case: "watch: a negative start", servers: BOTH, why: NEGATIVE_START },
    Difference { case: "lock: with an unknown lease", servers: BOTH, why: CODES_KEPT },
    Difference { case: "lock: unlock without a key", servers: BOTH, why: CODES_KEPT },
    Difference { case: "election: campaign with an unknown lease", servers: BOTH, why: CODES_KEPT },
    Difference { case: "election: campaign with another value", servers: BOTH, why: CAMPAIGN_REVISION },
    Difference { case: "unknown: /etcdserverpb.KV/Nothing", servers: BOTH, why: UNKNOWN_METHOD },
    Difference { case: "unknown: /nothing", servers: BOTH, why: UNKNOWN_METHOD },
    Difference { case: "compact: a watch from before it is canceled", servers: BOTH, why: COMPACTED_HEADER },
    Difference { case: "auth: role: grant a kind that there is not", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: grant no key", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: grant a range whose end is before it", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: grant an empty range", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: revoke a range whose end is before it", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: revoke an empty range", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: revoke a permission of another kind", servers: BOTH, why: GRANTS },
    Difference { case: "auth: role: revoke a permission of no key", servers: BOTH, why: GRANTS },
    Difference { case: "auth: jane asks whether it is enabled", servers: BOTH, why: AUTH_STATUS },
    Difference { case: "auth: jane asks for a checksum", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "auth: jane defragments", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "auth: nobody asks whether it is enabled", servers: BOTH, why: AUTH_STATUS },
    Difference { case: "auth: nobody asks for the status", servers: BOTH, why: AUTH_STATUS },
    Difference { case: "auth: nobody asks for a checksum", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "auth: nobody defragments", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "auth: a token of old asks whether it is enabled", servers: BOTH, why: AUTH_STATUS },
    Difference { case: "auth: a token of old asks for the status", servers: BOTH, why: AUTH_STATUS },
    Difference { case: "auth: a token of old asks for a checksum", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "auth: a token of old defragments", servers: BOTH, why: ONE_REFUSAL },
    Difference { case: "cluster: update a learner", servers: BOTH, why: LEARNER_STAYS },
    Difference { case: "pages: GET /version", servers: BOTH, why: PAGES },
    Difference { case: "pages: GET /metrics", servers: BOTH, why: PAGES },
    Difference { case: "pages: POST /metrics", servers: BOTH, why: PAGES },
    Difference { case: "pages: GET /livez", servers: BOTH, why: PAGES },
    Difference { case: "pages: GET /readyz", servers: BOTH, why: PAGES },
    Difference { case: "pages: OPTIONS /v3/kv/range", servers: BOTH, why: PAGES },
    Difference { case: "metrics: etcd_debugging_disk_backend_commit_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_mvcc_db_compaction_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_mvcc_index_compaction_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_mvcc_keys_total", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_mvcc_pending_events_total", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_mvcc_range_total", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_snap_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_debugging_store_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_disk_backend_defrag_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_disk_backend_snapshot_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_disk_defrag_inflight", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_grpc_proxy_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_mvcc_db_open_read_transactions", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_server_go_version", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_server_learner_promote_failures", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_server_snapshot_apply_in_progress_total", servers: BOTH, why: METRICS },
    Difference { case: "metrics: etcd_snap_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: go_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: os_fd_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: process_virtual_memory_max_bytes", servers: BOTH, why: METRICS },
    Difference { case: "metrics: promhttp_*", servers: BOTH, why: METRICS },
    Difference { case: "metrics: grpc_server_handling_seconds", servers: BOTH, why: MORE_METRICS },
    Difference { case: "metrics: process_threads", servers: BOTH, why: MORE_METRICS },
    Difference { case: "etcdctl 3.4: 29 defrag", servers: BOTH, why: AUTHORITY },
    Difference { case: "etcdctl 3.4: 31 move-leader 1", servers: BOTH, why: AUTHORITY },
];
