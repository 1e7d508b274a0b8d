//! Who leads, as the rest of the process is told.
//!
//! **Invariants**
//! - `leading` is true only after an entry of the own term was applied here, so that whoever acts on it sees everything
//!   that earlier leaders acknowledged.
//! - A leader that was silent for too long is none: openraft remembers the last one until there is another, and with it a
//!   member that is cut off would call itself led, or leading, for ever.

use std::sync::Arc;
use std::time::Duration;

use keelson_types::Leadership;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{Instant as _, ServerState};
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::raft::Raft;
use crate::state::Reader;

/// When a leader was last heard of.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Option<Instant>>);

impl Heard {
    /// A leader was heard, and followed.
    pub(crate) fn now(&self) {
        *self.0.lock() = Some(Instant::now());
    }
}

/// How long there may be no sign of a leader, and where its signs are seen.
pub(crate) struct Silence {
    pub(crate) heard: Arc<Heard>,
    pub(crate) tolerance: Duration,
}

/// Looks in one silence.
const LOOKS: u32 = 4;

/// What openraft knows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    term: u64,
    leader_id: Option<u64>,
    leads: bool,
}

/// Follows openraft and the state until one of them stops; then nobody leads here.
pub(crate) async fn follow(
    raft: Raft,
    reader: Reader,
    mut applied: watch::Receiver<u64>,
    leadership: watch::Sender<Leadership>,
    silence: Silence,
    changes: IntCounter,
) {
    let mut server = raft.server_metrics();
    let (mut before, mut since, mut last_leader) = (Known::default(), Instant::now(), None);
    loop {
        let known = {
            let now = server.borrow_watched();
            let granted = now.vote.committed.then_some(now.vote.leader_id.voted_for);
            let leader_id = leader_of_the_vote(granted, now.current_leader);
            let leads = now.state == ServerState::Leader && leader_id == Some(now.id);
            Known { term: now.vote.leader_id.term, leader_id, leads }
        };
        if known != before {
            (before, since) = (known, Instant::now());
        }
        let heard = || silence.heard.0.lock().map(|heard| heard.elapsed());
        let no_sign = if known.leads { without_quorum(&raft) } else { heard() };
        // A leader that has just come had no time for a sign.
        let silent = no_sign.unwrap_or(Duration::MAX).min(since.elapsed()) > silence.tolerance;
        let leader_id = known.leader_id.filter(|_| !silent);
        let caught_up = reader.applied().term == known.term;
        let leading = known.leads && !silent && caught_up;
        if leader_id.is_some() && leader_id != last_leader {
            // The time without a leader is none: only another leader counts as a change.
            last_leader = leader_id;
            changes.inc();
        }
        publish(&leadership, Leadership { term: known.term, leading, leader_id });
        let changed = tokio::select! {
            changed = server.changed() => changed.is_ok(),
            changed = applied.changed(), if known.leads && !caught_up => changed.is_ok(),
            () = tokio::time::sleep(silence.tolerance / LOOKS), if known.leader_id.is_some() => true,
        };
        if !changed {
            break;
        }
    }
    leadership.send_modify(|last| *last = Leadership { term: last.term, leading: false, leader_id: None });
}

/// The leader of the term of the vote on disk, of which is known to whom it was `granted`. Without that there is a term, and
/// perhaps a candidate, but no leader; and the current leader may be that of a later term already.
fn leader_of_the_vote(granted: Option<u64>, current: Option<u64>) -> Option<u64> {
    current.filter(|leader| granted == Some(*leader))
}

/// For how long no quorum has answered this member as the leader. One that needs no other is its own quorum.
fn without_quorum(raft: &Raft) -> Option<Duration> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    if metrics.membership_config.membership().voter_ids().count() <= 1 {
        return Some(Duration::ZERO);
    }
    metrics.last_quorum_acked.map(|acked| acked.elapsed())
}

fn publish(leadership: &watch::Sender<Leadership>, now: Leadership) {
    let changed = leadership.send_if_modified(|last| std::mem::replace(last, now) != now);
    if changed {
        let leader = now.leader_id.map(|id| format!("{id:016x}"));
        tracing::info!(term = now.term, leader, leading = now.leading, "leadership");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_named_beside_its_own_term_only() {
        assert_eq!(leader_of_the_vote(Some(1), Some(1)), Some(1));
        assert_eq!(
            leader_of_the_vote(Some(1), Some(2)),
            None,
            "the leader of a later term, whose vote is not on disk yet"
        );
        assert_eq!(leader_of_the_vote(None, Some(1)), None, "a candidate");
        assert_eq!(leader_of_the_vote(Some(1), None), None);
    }
}
