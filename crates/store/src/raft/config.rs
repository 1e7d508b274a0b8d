//! openraft's configuration from the store's options.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use crate::Options;

/// Entries in one append request. An entry already carries many requests, so few suffice.
const ENTRIES_PER_APPEND_MAX: u64 = 64;
/// Nothing on the way is acknowledged before the whole snapshot is installed.
const INSTALL_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);
/// Waits before an unreachable peer is tried again: short, because a restarted member should be found at once.
const BACKOFF: &str = "20ms 50ms 100ms 100ms";

/// `may_vote` is false for a member whose gate is shut: it must not stand for election.
///
/// # Errors
/// When openraft refuses the timings.
pub(crate) fn build(options: &Options, may_vote: bool) -> Result<Arc<Config>, openraft::ConfigError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let heartbeat = millis(options.heartbeat_interval);
    // openraft's follower first lets the leader's lease run out, which it sets to `election_timeout_max`, and then waits
    // for a random time between its minimum and maximum. The options bound the sum.
    let lease = millis(options.election_timeout_max) / 2;
    let wait_min = millis(options.election_timeout_min).saturating_sub(lease).max(heartbeat * 3).min(lease * 2 / 3);
    let config = Config {
        cluster_name: options.cluster_token.clone(),
        heartbeat_interval: heartbeat,
        election_timeout_min: wait_min,
        election_timeout_max: lease,
        enable_elect: may_vote,
        enable_pre_vote: Some(true),
        max_payload_entries: ENTRIES_PER_APPEND_MAX,
        // Snapshot points follow the state's flushes; see service/purge.rs.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: options.log_entries_to_keep,
        install_snapshot_timeout: millis(INSTALL_SNAPSHOT_TIMEOUT),
        backoff: BACKOFF.to_owned(),
        // A follower that was wiped comes back with an empty log; gate.rs says why that is safe.
        allow_log_reversion: Some(true),
        // The last committed entry is not stored, so a restarted leader must be elected again.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().map(Arc::new)
}
