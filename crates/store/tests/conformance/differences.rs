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
    pub fn covers(&self, case: &str) -> bool {
        match self.case.strip_suffix('*') {
            Some(begin) => case.starts_with(begin),
            None => case == self.case,
        }
    }

    pub fn is_of(&self, server: Server) -> bool {
        self.servers.contains(&server)
    }
}

const BOTH: &[Server] = &[Server::Etcd34, Server::Etcd35];

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
];
