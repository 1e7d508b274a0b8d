//! Members compare what they hold, so that one whose data differ is found before somebody believes it.
//!
//! All members hold the same content at a revision, and a checksum of it is enough to see that they do (`mvcc/hash.rs`). The
//! leader asks all for theirs at one revision, every now and then or after compactions, as etcd's corruption monitor does. Who
//! is not of a majority's opinion gets the alarm CORRUPT, which stops all writes until an operator takes it back. A member can
//! also ask the others when it starts, and then does not start when a majority of them agrees on something else.
//!
//! **Invariants**: checksums of one revision are compared, and who cannot tell is passed over, never blamed. A member reads its
//! content for others once at a time, pinned and beside the threads that serve, and the leader spends no more than half of its
//! time on that. Nothing is repaired here.

mod hashes;
mod options;
mod verdict;

use std::time::Duration;

use futures::future::join;
use keelson_proto::etcdserverpb::AlarmType;
use keelson_proto::keelson::store::v1::{AlarmChange, command};
use tokio::time::Instant;

use self::verdict::{Content, Verdict};
use crate::member::{Member, Shared};
use crate::peers::Peers;
use crate::state::Reader;
use crate::{Error, handle};

pub(crate) use hashes::{ALGORITHM, of_this_member};
pub use options::Options;

/// Stands for the whole cluster, when nobody can say which members are wrong. As in etcd.
const ALL_MEMBERS: u64 = 0;

/// How often is compared again, and after how long, when those who did not answer could say who is right.
const LOOKS_AGAIN: usize = 5;
const PAUSE: Duration = Duration::from_secs(3);
/// How long a start may take for it. Until then, the cluster does without this member's vote.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A member does not hold what the others do.
#[derive(Debug, thiserror::Error)]
#[error(
    "at revision {revision} the data of this member are not those of {others} other members, which agree. Move the data folder \
     away and start the member again: it gets their data"
)]
pub struct Differs {
    /// What was compared.
    pub revision: i64,
    /// How many others hold the same, and not what this one holds.
    pub others: usize,
}

/// Compares what a member found in its folder with what the others hold, before it takes part. Whether it has nothing yet,
/// or too few answer, it passes.
///
/// # Errors
/// When a majority of the others hold the same, and this one something else.
pub(crate) async fn at_start(peers: &Peers, reader: &Reader) -> Result<(), Differs> {
    let revision = reader.revision();
    let others = peers.others();
    if reader.applied().index == 0 || others.is_empty() {
        return Ok(());
    }
    let all = others.len();
    let there = hashes::that_answer(others).await;
    if there.len() <= all / 2 {
        tracing::warn!(answer = there.len(), all, "too few members answer to compare this one's data with theirs");
        return Ok(());
    }
    tracing::info!(revision, "comparing this member's data with those of the others");
    let contents = join(hashes::at(reader, revision), hashes::of_all(there, revision));
    let (own, others) = match tokio::time::timeout(START_TIMEOUT, contents).await {
        Ok((Ok(own), others)) => (own, others),
        Ok((Err(error), _)) => {
            tracing::warn!(%error, "this member's data cannot be compared");
            return Ok(());
        }
        Err(_) => {
            tracing::warn!("to compare this member's data takes too long: it starts without");
            return Ok(());
        }
    };
    let mut sums: Vec<Option<u32>> = others.iter().map(|(_, content)| content.map(|content| content.hash)).collect();
    sums.resize(all, None);
    match verdict::outvoted(own.hash, &sums) {
        Some(others) => Err(Differs { revision, others }),
        None => {
            let differing = sums.iter().flatten().filter(|sum| **sum != own.hash).count();
            if differing > 0 {
                tracing::error!(revision, differing, "another member's data differ; which are wrong is not known");
            }
            let compared = sums.iter().flatten().count();
            tracing::info!(revision, compared, "this member's data were compared");
            Ok(())
        }
    }
}

/// Compares all members whenever this one leads and it is time. Runs until the member stops.
pub(crate) async fn run(member: Shared) {
    join(at_intervals(&member), after_compactions(&member)).await;
}

async fn at_intervals(member: &Member) {
    let interval = member.options.corruption.interval;
    if interval.is_zero() {
        return std::future::pending().await;
    }
    let mut took = Duration::ZERO;
    loop {
        tokio::time::sleep(interval.max(took)).await;
        if member.leads() {
            took = check(member, member.reader.revision()).await.1;
        }
    }
}

async fn after_compactions(member: &Member) {
    let Options { after_compactions, compaction_interval, .. } = member.options.corruption;
    if !after_compactions {
        return std::future::pending().await;
    }
    let (mut took, mut checked) = (Duration::ZERO, 0);
    loop {
        tokio::time::sleep(compaction_interval.max(took)).await;
        let compacted = member.reader.compacted();
        if !member.leads() || compacted <= checked {
            continue;
        }
        let (outcome, duration) = check(member, compacted).await;
        took = duration;
        // Who did not answer is asked after the next compaction: to read everything again would not make it answer.
        if matches!(outcome, Ok(Verdict::Same | Verdict::Unfinished)) {
            checked = compacted;
        }
    }
}

/// Compares all members at `revision`, and raises the alarm for those that differ; says how long it took.
async fn check(member: &Member, revision: i64) -> (Result<Verdict, Error>, Duration) {
    let begun = Instant::now();
    let mut outcome = compare(member, revision).await;
    for _ in 0..LOOKS_AGAIN {
        // Who is about to come back should not make all suspects.
        if !matches!(outcome, Ok(Verdict::Undecided { may_change: true })) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        outcome = compare(member, revision).await;
    }
    match &outcome {
        Ok(Verdict::Same) => tracing::debug!(revision, "all members hold the same"),
        Ok(Verdict::Unfinished) => tracing::warn!(revision, "not all members could be compared"),
        Ok(Verdict::Undecided { .. }) => {
            tracing::error!(revision, "members differ, and no majority agrees on what is right");
            raise(member, ALL_MEMBERS).await;
        }
        Ok(Verdict::Differ(ids)) => {
            for id in ids {
                tracing::error!(
                    revision,
                    member = format_args!("{id:016x}"),
                    "a member's data differ from the others'"
                );
                raise(member, *id).await;
            }
        }
        Err(error) => tracing::warn!(%error, revision, "members could not be compared"),
    }
    (outcome, begun.elapsed())
}

async fn compare(member: &Member, revision: i64) -> Result<Verdict, Error> {
    let others = hashes::of_others(member.peers.others(), revision);
    let (own, others) = join(of_this_member(member, revision), others).await;
    let own = own?;
    // From here on this member has applied whatever any member had when it answered.
    member.barrier(member.deadline()).await?;
    let newest = Content {
        hash: own.hash,
        newest_revision: member.reader.revision(),
        compacted_revision: member.reader.compacted(),
    };
    Ok(verdict::judge(member.own_id(), newest, &others))
}

async fn raise(member: &Member, id: u64) {
    let corrupt = i32::from(AlarmType::Corrupt);
    let cluster = member.reader.cluster();
    if cluster.alarms.iter().any(|alarm| alarm.alarm == corrupt && alarm.member_id == id) {
        return;
    }
    // Of a member that was removed meanwhile it would never be taken back.
    let change = AlarmChange { active: true, member_id: id, alarm: corrupt, automatic: id != ALL_MEMBERS };
    if let Err(error) = handle::cluster::change(member, command::Command::Alarm(change)).await {
        tracing::error!(%error, "the alarm could not be raised; the next comparison tries again");
    }
}
