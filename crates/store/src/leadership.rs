//! Who leads, as the rest of the process is told.
//!
//! **Invariant**: `leading` is true only after an entry of the own term was applied here, so that whoever acts on it sees
//! everything that earlier leaders acknowledged.

use keelson_types::Leadership;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::sync::watch;

use crate::raft::Raft;
use crate::state::Reader;

/// Follows openraft and the state until one of them stops; then nobody leads here.
pub(crate) async fn follow(
    raft: Raft,
    reader: Reader,
    mut applied: watch::Receiver<u64>,
    leadership: watch::Sender<Leadership>,
) {
    let mut server = raft.server_metrics();
    loop {
        let (term, leader_id, leads) = {
            let now = server.borrow_watched();
            // Without a granted vote there is a term, and perhaps a candidate, but no leader.
            let leader_id = now.current_leader.filter(|_| now.vote.committed);
            let leads = now.state == ServerState::Leader && leader_id == Some(now.id);
            (now.vote.leader_id.term, leader_id, leads)
        };
        let leading = leads && reader.applied().term == term;
        publish(&leadership, Leadership { term, leading, leader_id });
        let changed = if leads && !leading {
            tokio::select! {
                changed = server.changed() => changed.is_ok(),
                changed = applied.changed() => changed.is_ok(),
            }
        } else {
            server.changed().await.is_ok()
        };
        if !changed {
            break;
        }
    }
    leadership.send_modify(|last| *last = Leadership { term: last.term, leading: false, leader_id: None });
}

fn publish(leadership: &watch::Sender<Leadership>, now: Leadership) {
    let changed = leadership.send_if_modified(|last| std::mem::replace(last, now) != now);
    if changed {
        let leader = now.leader_id.map(|id| format!("{id:016x}"));
        tracing::info!(term = now.term, leader, leading = now.leading, "leadership");
    }
}
