//! What log, state, leases and connections to peers measure. Each of them owns its figures; the registry shows them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keelson_proto::keelson::store::v1::command;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

use super::{counter, register};
use crate::mvcc::value::Kind;
use crate::state::{Entry, Payload};
use crate::watch::hub::Revision;

/// An apply that takes longer is slow, as in etcd.
const SLOW_APPLY: Duration = Duration::from_millis(100);

/// Starting with a millisecond, each bucket twice the one before, as etcd's dashboards expect of disks.
fn disk_buckets() -> Vec<f64> {
    exponential_buckets(0.001, 2.0, 14).expect("they ascend")
}

pub(super) fn histogram(name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)).expect("the name is a good one")
}

/// Of the log's writer.
#[derive(Clone)]
pub(crate) struct LogFigures {
    /// One write of all that waited, with its sync.
    pub(crate) sync_seconds: Histogram,
    pub(crate) written_bytes: IntCounter,
}

impl Default for LogFigures {
    fn default() -> Self {
        Self {
            sync_seconds: histogram(
                "etcd_disk_wal_fsync_duration_seconds",
                "How long a synced write of the log takes.",
                disk_buckets(),
            ),
            written_bytes: counter("etcd_disk_wal_write_bytes_total", "Bytes written to the log."),
        }
    }
}

impl LogFigures {
    pub(super) fn register(&self, registry: &Registry) {
        register(registry, &self.sync_seconds);
        register(registry, &self.written_bytes);
    }
}

/// Of the state machine.
#[derive(Clone)]
pub(crate) struct StateFigures {
    commit_seconds: Histogram,
    apply_seconds: HistogramVec,
    /// By place in [`OPERATIONS`]; refused, and done.
    applied: Arc<[[Histogram; 2]; OPERATIONS.len()]>,
    lease_ttl_seconds: Histogram,
    slow_applies: IntCounter,
    pub(crate) puts: IntCounter,
    pub(crate) put_bytes: IntCounter,
    pub(crate) deletes: IntCounter,
    pub(crate) transactions: IntCounter,
    pub(crate) leases_granted: IntCounter,
    pub(crate) leases_revoked: IntCounter,
}

/// What commands are called, as far as they are told apart.
const OPERATIONS: [&str; 11] = [
    "Put",
    "DeleteRange",
    "Txn",
    "Compaction",
    "LeaseGrant",
    "LeaseRevoke",
    "LeaseCheckpoint",
    "Alarm",
    "Auth",
    "Downgrade",
    "Member",
];

fn operation(command: &command::Command) -> &'static str {
    use command::Command as C;
    match command {
        C::Put(_) => "Put",
        C::DeleteRange(_) => "DeleteRange",
        C::Txn(_) => "Txn",
        C::Compact(_) => "Compaction",
        C::LeaseGrant(_) => "LeaseGrant",
        C::LeaseRevoke(_) | C::LeaseExpire(_) => "LeaseRevoke",
        C::LeaseCheckpoint(_) => "LeaseCheckpoint",
        C::Alarm(_) => "Alarm",
        C::Auth(_) => "Auth",
        C::Downgrade(_) => "Downgrade",
        C::MembersFound(_)
        | C::MemberPublish(_)
        | C::MemberAdd(_)
        | C::MemberRemove(_)
        | C::MemberUpdate(_)
        | C::MemberPromote(_) => "Member",
    }
}

/// A command that is being applied.
pub(crate) struct Applying {
    operation: usize,
    begin: Instant,
}

impl Default for StateFigures {
    fn default() -> Self {
        let apply_seconds = HistogramOpts::new(
            "etcd_server_apply_duration_seconds",
            "How long it takes to apply a command, without the write that all commands of a round share.",
        );
        // From a tenth of a millisecond, as etcd has it.
        let apply_seconds = apply_seconds.buckets(exponential_buckets(0.0001, 2.0, 20).expect("they ascend"));
        let apply_seconds =
            HistogramVec::new(apply_seconds, &["version", "op", "success"]).expect("the name is a good one");
        let of = |operation| ["false", "true"].map(|done| apply_seconds.with_label_values(&["v3", operation, done]));
        Self {
            applied: Arc::new(OPERATIONS.map(of)),
            apply_seconds,
            lease_ttl_seconds: histogram(
                "etcd_debugging_lease_ttl_total",
                "Times to live of the leases whose grants were applied.",
                exponential_buckets(1.0, 2.0, 24).expect("they ascend"),
            ),
            commit_seconds: histogram(
                "etcd_disk_backend_commit_duration_seconds",
                "How long it takes to write what a round of log entries changes to the state.",
                disk_buckets(),
            ),
            slow_applies: counter(
                "etcd_server_slow_apply_total",
                "Rounds of log entries that took longer than 100 ms to apply.",
            ),
            puts: counter("etcd_mvcc_put_total", "Pairs that were put, by transactions too."),
            put_bytes: counter(
                "etcd_debugging_mvcc_total_put_size_in_bytes",
                "Bytes of the keys and values that were put.",
            ),
            deletes: counter("etcd_mvcc_delete_total", "Pairs that were deleted, by transactions and leases too."),
            transactions: counter("etcd_mvcc_txn_total", "Transactions that were applied."),
            leases_granted: counter("etcd_debugging_lease_granted_total", "Grants of leases that were applied."),
            leases_revoked: counter(
                "etcd_debugging_lease_revoked_total",
                "Ends of leases that were applied: revoked or expired.",
            ),
        }
    }
}

impl StateFigures {
    pub(super) fn register(&self, registry: &Registry) {
        register(registry, &self.commit_seconds);
        register(registry, &self.apply_seconds);
        register(registry, &self.lease_ttl_seconds);
        for own in [
            &self.slow_applies,
            &self.puts,
            &self.put_bytes,
            &self.deletes,
            &self.transactions,
            &self.leases_granted,
            &self.leases_revoked,
        ] {
            register(registry, own);
        }
    }

    /// Commands that are about to be applied.
    pub(crate) fn count_entries(&self, entries: &[Entry]) {
        for entry in entries {
            let Payload::Batch(batch) = &entry.payload else { continue };
            for command in &batch.commands {
                match &command.command {
                    Some(command::Command::Txn(_)) => self.transactions.inc(),
                    Some(command::Command::LeaseGrant(grant)) => {
                        self.leases_granted.inc();
                        self.lease_ttl_seconds.observe(grant.ttl_seconds as f64);
                    }
                    Some(command::Command::LeaseRevoke(_)) => self.leases_revoked.inc(),
                    Some(command::Command::LeaseExpire(expire)) => self.leases_revoked.inc_by(expire.ids.len() as u64),
                    _ => {}
                }
            }
        }
    }

    /// What they changed.
    pub(crate) fn count_revisions(&self, revisions: &[Arc<Revision>]) {
        let (mut puts, mut bytes, mut deletes) = (0, 0, 0);
        for change in revisions.iter().flat_map(|revision| &revision.changes) {
            match change.kind {
                Kind::Put => {
                    puts += 1;
                    bytes += change.pair.key.len() + change.pair.value.len();
                }
                Kind::Delete => deletes += 1,
            }
        }
        self.puts.inc_by(puts);
        self.put_bytes.inc_by(bytes as u64);
        self.deletes.inc_by(deletes);
    }

    /// A command is about to be applied.
    pub(crate) fn applying(&self, command: &command::Command) -> Applying {
        let name = operation(command);
        let operation = OPERATIONS.iter().position(|known| *known == name).unwrap_or_default();
        Applying { operation, begin: Instant::now() }
    }

    /// It is applied, or refused.
    pub(crate) fn one_applied(&self, applying: &Applying, done: bool) {
        let [refused, applied] = &self.applied[applying.operation];
        let histogram = if done { applied } else { refused };
        histogram.observe(applying.begin.elapsed().as_secs_f64());
    }

    /// One round: how long all of it took, and the write to the database alone.
    pub(crate) fn applied(&self, all: Duration, commit: Duration) {
        self.commit_seconds.observe(commit.as_secs_f64());
        if all > SLOW_APPLY {
            self.slow_applies.inc();
        }
    }
}

/// Of the leader's lease keeper.
#[derive(Clone)]
pub(crate) struct LeaseFigures {
    pub(crate) renewed: IntCounter,
    pub(crate) expired: IntCounter,
}

impl Default for LeaseFigures {
    fn default() -> Self {
        Self {
            renewed: counter("etcd_debugging_lease_renewed_total", "Renewals that this member granted as the leader."),
            expired: counter(
                "etcd_debugging_server_lease_expired_total",
                "Leases whose end this member proposed as the leader.",
            ),
        }
    }
}

impl LeaseFigures {
    pub(super) fn register(&self, registry: &Registry) {
        register(registry, &self.renewed);
        register(registry, &self.expired);
    }
}

/// Of connections to the other members.
#[derive(Clone)]
pub(crate) struct PeerFigures {
    round_trips: HistogramVec,
    failures: IntCounterVec,
    active: IntGaugeVec,
    heartbeat_failures: IntCounter,
}

impl Default for PeerFigures {
    fn default() -> Self {
        let round_trips = HistogramOpts::new(
            "etcd_network_peer_round_trip_time_seconds",
            "How long a member takes to answer a heartbeat or a request for its vote.",
        );
        let round_trips = round_trips.buckets(exponential_buckets(0.0001, 2.0, 16).expect("they ascend"));
        let failures = Opts::new("etcd_network_peer_sent_failures_total", "Messages that a member did not answer.");
        Self {
            round_trips: HistogramVec::new(round_trips, &["To"]).expect("the name is a good one"),
            failures: IntCounterVec::new(failures, &["To"]).expect("the name is a good one"),
            active: IntGaugeVec::new(
                Opts::new("etcd_network_active_peers", "Whether a member has answered the last message to it: 1 or 0."),
                &["Local", "Remote"],
            )
            .expect("the name is a good one"),
            heartbeat_failures: counter(
                "etcd_server_heartbeat_send_failures_total",
                "Heartbeats of this member as the leader that were not answered in time.",
            ),
        }
    }
}

impl PeerFigures {
    pub(super) fn register(&self, registry: &Registry) {
        register(registry, &self.round_trips);
        register(registry, &self.failures);
        register(registry, &self.active);
        register(registry, &self.heartbeat_failures);
    }

    /// Looked up once for each connection of member `own_id`.
    pub(crate) fn of(&self, own_id: u64, member_id: u64) -> OnePeer {
        let (own, id) = (format!("{own_id:x}"), format!("{member_id:x}"));
        OnePeer {
            round_trip: self.round_trips.with_label_values(&[&id]),
            failures: self.failures.with_label_values(&[&id]),
            active: self.active.with_label_values(&[&own, &id]),
            heartbeat_failures: self.heartbeat_failures.clone(),
        }
    }
}

/// Of the connection to one of them.
#[derive(Clone)]
pub(crate) struct OnePeer {
    round_trip: Histogram,
    failures: IntCounter,
    active: IntGauge,
    heartbeat_failures: IntCounter,
}

impl OnePeer {
    /// A message and its answer, or none.
    pub(crate) fn answered<T, E>(&self, outcome: &Result<T, E>, after: Duration) {
        self.active.set(i64::from(outcome.is_ok()));
        match outcome {
            Ok(_) => self.round_trip.observe(after.as_secs_f64()),
            Err(_) => self.failures.inc(),
        }
    }

    /// A heartbeat, likewise.
    pub(crate) fn heartbeat<T, E>(&self, outcome: &Result<T, E>, after: Duration) {
        self.answered(outcome, after);
        if outcome.is_err() {
            self.heartbeat_failures.inc();
        }
    }
}
