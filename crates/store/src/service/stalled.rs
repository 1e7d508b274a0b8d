//! A leader whose disk does not finish a sync hands over, before its clients and their leases suffer.
//!
//! Such a leader still commits, through its followers, and is alive for everyone; but what it has to write piles up behind
//! the sync until nothing goes on, heartbeats included. A follower with a disk that works does better.

use std::time::Duration;

use crate::member::Shared;
use crate::raft::log::Log;

/// Looks in one limit.
const LOOKS: u32 = 4;
/// How long a follower may take to be elected.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs for ever.
pub(super) async fn run(member: Shared, log: Log) {
    let limit = member.options.sync_stall_limit;
    if limit.is_zero() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(limit / LOOKS).await;
        let Some(outstanding) = log.outstanding_sync().filter(|outstanding| *outstanding > limit) else { continue };
        if !member.leads() {
            continue;
        }
        let Some(target) = member.healthy_follower() else {
            tracing::error!(?outstanding, "the disk does not finish a sync, and no follower is there to lead instead");
            tokio::time::sleep(limit).await;
            continue;
        };
        tracing::error!(?outstanding, "the disk does not finish a sync: leadership is handed over");
        match member.transfer_leadership(Some(target), HAND_OVER_TIMEOUT).await {
            Ok(now) => tracing::warn!(leader = now.leader_id, "leadership was handed over"),
            Err(error) => tracing::error!(%error, "leadership could not be handed over"),
        }
    }
}
