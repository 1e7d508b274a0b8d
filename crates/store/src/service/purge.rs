//! Snapshot points: now and then the state is flushed, after which the log before that point may be purged.
//!
//! openraft purges all but some entries of it. Entries differ in size by four orders of magnitude, so what is kept beyond a bound
//! in bytes is purged here: a follower that lags by more gets a snapshot, which is read faster than it.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;

use super::Error;
use crate::member::{Member, Shared};
use crate::raft::codec;
use crate::raft::log::Log;

/// How often it is asked how large the log is.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until consensus stops.
pub(super) async fn run(member: Shared, log: Log) -> Result<(), Error> {
    let options = &member.options;
    let mut ticks = tokio::time::interval(options.flush_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut applied = member.applied.clone();
    let mut last = {
        let metrics = member.raft.metrics();
        let snapshot = metrics.borrow_watched().snapshot;
        codec::position(snapshot.map(|id| id.index))
    };
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = last.saturating_add(options.snapshot_every_entries);
        let looks_only = tokio::select! {
            _ = ticks.tick() => false,
            _ = looks.tick() => true,
            reached = async { applied.wait_for(|position| *position >= due).await.is_ok() } => {
                if !reached {
                    return Ok(());
                }
                false
            }
        };
        purge(&member, &log).await?;
        if looks_only && log.bytes() <= options.log_bytes_to_keep.saturating_mul(2) {
            continue;
        }
        let now = *applied.borrow();
        if now > last {
            last = now;
            member.raft.trigger().snapshot().await.map_err(|error| Error::Raft(Box::new(error)))?;
        }
    }
}

/// Lets go of what is too much, as far as the state no longer needs it.
async fn purge(member: &Member, log: &Log) -> Result<(), Error> {
    match log.excess(member.options.log_bytes_to_keep) {
        None => Ok(()),
        Some(upto) => member.raft.trigger().purge_log(upto).await.map_err(|error| Error::Raft(Box::new(error))),
    }
}
