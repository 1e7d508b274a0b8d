//! Space: a member whose disk is full, or whose data exceed the quota, raises the alarm for the whole cluster, and takes it
//! back when there is room again.
//!
//! The alarm is replicated, so a follower that fills up stops the writes of all: they would otherwise go on until it cannot
//! follow any more. Before the quota raises it, what was compacted is thrown out of the files, so that only live bytes count.

use std::time::Duration;

use keelson_proto::etcdserverpb::AlarmType;
use keelson_proto::keelson::store::v1::{AlarmChange, command};

use crate::handle;
use crate::machine;
use crate::member::Shared;
use crate::state::{self, Pass, Reader};

/// How often is looked. At full speed the store writes some tens of MiB in that time, by which a quota may be exceeded.
const INTERVAL: Duration = Duration::from_millis(500);
/// An alarm ends when this part of the quota is free again, so that it does not come and go with every write: a twentieth.
const QUOTA_SLACK_PART: u64 = 20;

/// Runs until the member stops.
pub(super) async fn run(member: Shared) {
    let mut quota = Quota { bytes: member.options.quota_bytes, rewritten_at: 0 };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let own = member.own_id();
        let cluster = member.reader.cluster();
        let mut alarms = cluster.alarms.iter();
        let raised = alarms.find(|alarm| alarm.member_id == own && alarm.alarm == i32::from(AlarmType::Nospace));
        let full = member.disk.is_full();
        let short = full || quota.exceeded(&member.reader, raised.is_some()).await;
        let change = match raised {
            None if short => true,
            Some(alarm) if !short && alarm.automatic => false,
            _ => continue,
        };
        if change {
            tracing::error!(disk_full = full, "no space: raising the alarm that stops new data");
        } else {
            tracing::info!("space is back: taking the alarm back");
        }
        let change = AlarmChange { active: change, member_id: own, alarm: AlarmType::Nospace.into(), automatic: true };
        if let Err(error) = handle::cluster::change(&member, command::Command::Alarm(change)).await {
            tracing::warn!(%error, "the alarm did not change; it will be tried again");
        }
    }
}

struct Quota {
    /// 0 = none.
    bytes: u64,
    /// The compacted revision up to which the files were cleaned for the quota's sake.
    rewritten_at: i64,
}

impl Quota {
    /// Whether more live bytes are stored than the quota allows, after cleaning up if that may help.
    async fn exceeded(&mut self, reader: &Reader, raised: bool) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let limit = if raised { self.bytes - self.bytes / QUOTA_SLACK_PART } else { self.bytes };
        if reader.bytes_in_use() <= limit {
            return false;
        }
        let compacted = reader.compacted();
        // What is not in files yet is counted at more than its worth.
        let done = if compacted > self.rewritten_at {
            tracing::info!(compacted, "over the quota: cleaning the files of what was compacted");
            blocking(reader, clean).await
        } else if reader.size_bytes() <= limit {
            blocking(reader, Reader::flush).await
        } else {
            Ok(())
        };
        match done {
            Ok(()) => self.rewritten_at = compacted,
            Err(error) => tracing::warn!(%error, "cannot clean up"),
        }
        reader.bytes_in_use() > limit
    }
}

/// Cleans the files without a pause: until that is done, writes are refused.
fn clean(reader: &Reader) -> Result<(), state::Error> {
    let mut pass = Pass::default();
    while !pass.is_over() {
        reader.reclaim(&mut pass)?;
    }
    Ok(())
}

async fn blocking(
    reader: &Reader,
    work: impl FnOnce(&Reader) -> Result<(), state::Error> + Send + 'static,
) -> Result<(), state::Error> {
    let reader = reader.clone();
    // A panic there is a bug that the next look will meet again; nothing was changed by it.
    machine::spawn_blocking(move || work(&reader)).await.unwrap_or(Err(state::Error::Closed))
}
