//! Snapshot points: now and then the state is flushed, after which the log before that point may be purged.

use openraft::async_runtime::watch::WatchReceiver as _;

use super::Error;
use crate::member::Shared;
use crate::raft::codec;

/// Runs until consensus stops.
pub(super) async fn run(member: Shared) -> Result<(), Error> {
    let options = &member.options;
    let mut ticks = tokio::time::interval(options.flush_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut applied = member.applied.clone();
    let mut last = {
        let metrics = member.raft.metrics();
        let snapshot = metrics.borrow_watched().snapshot;
        codec::position(snapshot.map(|id| id.index))
    };
    loop {
        let due = last.saturating_add(options.snapshot_every_entries);
        tokio::select! {
            _ = ticks.tick() => {}
            reached = applied.wait_for(|position| *position >= due) => {
                if reached.is_err() {
                    return Ok(());
                }
            }
        }
        let now = *applied.borrow();
        if now > last {
            last = now;
            member.raft.trigger().snapshot().await.map_err(|error| Error::Raft(Box::new(error)))?;
        }
    }
}
