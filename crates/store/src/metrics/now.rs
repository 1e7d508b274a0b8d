//! Figures that are read from the member at the moment of asking.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::{gauge, register};
use crate::etcd_v3::ETCD_VERSION;

/// What a member found out about itself just now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) leader_known: bool,
    pub(crate) leads: bool,
    pub(crate) learner: bool,
    pub(crate) committed_index: u64,
    pub(crate) applied_index: u64,
    pub(crate) database_bytes: u64,
    pub(crate) live_bytes: u64,
    /// What the database may grow to.
    pub(crate) quota_bytes: u64,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) watchers: usize,
    pub(crate) slow_watchers: usize,
    pub(crate) auth_revision: u64,
}

macro_rules! gauges {
    ($($field:ident: $name:literal, $help:literal;)*) => {
        /// The gauges that show a [`Scrape`].
        pub(super) struct Now {
            $($field: IntGauge,)*
        }

        impl Now {
            fn register_all(registry: &Registry) -> Self {
                let now = Self { $($field: gauge($name, $help),)* };
                $(register(registry, &now.$field);)*
                now
            }
        }
    };
}

gauges! {
    has_leader: "etcd_server_has_leader", "Whether this member knows a leader: 1 or 0.";
    is_leader: "etcd_server_is_leader", "Whether this member leads: 1 or 0.";
    is_learner: "etcd_server_is_learner", "Whether this member has no vote: 1 or 0.";
    committed: "etcd_server_proposals_committed_total", "The last log entry that is known to be on a quorum.";
    applied: "etcd_server_proposals_applied_total", "The last log entry that this member has applied.";
    database_bytes: "etcd_mvcc_db_total_size_in_bytes", "Bytes of the state's files.";
    live_bytes: "etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of the state's files that hold what can be read.";
    quota_bytes: "etcd_server_quota_backend_bytes", "Bytes that the state may grow to.";
    revision: "etcd_debugging_mvcc_current_revision", "The newest revision that this member has applied.";
    compacted: "etcd_debugging_mvcc_compact_revision", "The revision before which history is gone.";
    watchers: "etcd_debugging_mvcc_watcher_total", "Watchers, those of this member's own API included.";
    auth_revision: "etcd_debugging_auth_revision", "How often it was changed who may do what.";
    slow_watchers: "etcd_debugging_mvcc_slow_watcher_total", "Watchers that have to catch up from history.";
}

impl Now {
    pub(super) fn new(registry: &Registry, member_id: u64) -> Self {
        let minor = ETCD_VERSION.rsplit_once('.').map_or(ETCD_VERSION, |(minor, _)| minor);
        fixed(
            registry,
            "etcd_server_version",
            "The version of etcd's API that is served.",
            "server_version",
            ETCD_VERSION,
        );
        fixed(registry, "etcd_cluster_version", "The version that all members serve.", "cluster_version", minor);
        fixed(registry, "etcd_server_id", "The member's id.", "server_id", &format!("{member_id:x}"));
        Self::register_all(registry)
    }

    pub(super) fn set(&self, scrape: &Scrape) {
        self.has_leader.set(scrape.leader_known.into());
        self.is_leader.set(scrape.leads.into());
        self.is_learner.set(scrape.learner.into());
        self.committed.set(signed(scrape.committed_index));
        self.applied.set(signed(scrape.applied_index));
        self.database_bytes.set(signed(scrape.database_bytes));
        self.live_bytes.set(signed(scrape.live_bytes));
        self.quota_bytes.set(signed(scrape.quota_bytes));
        self.revision.set(scrape.revision);
        self.compacted.set(scrape.compacted);
        self.watchers.set(signed(scrape.watchers as u64));
        self.slow_watchers.set(signed(scrape.slow_watchers as u64));
        self.auth_revision.set(signed(scrape.auth_revision));
    }
}

/// A figure that says something by its label.
fn fixed(registry: &Registry, name: &str, help: &str, label: &str, value: &str) {
    let figure = IntGaugeVec::new(Opts::new(name, help), &[label]).expect("the name is a good one");
    figure.with_label_values(&[value]).set(1);
    register(registry, &figure);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
