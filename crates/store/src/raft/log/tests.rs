//! The log from outside.

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::storage::RaftLogReader as _;

use super::*;
use crate::raft::types::{Proposal, log_id};

const OWN: Identity = Identity { cluster_id: 1, member_id: 2 };
/// The cache has room for two of the entries below, a segment for four.
const SIZES: Sizes = Sizes { cache_bytes: 2500, segment_bytes: 4096 };

fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    let payload = || EntryPayload::Normal(Proposal(Bytes::from(vec![7; 1000])));
    indexes.map(|index| Entry { log_id: log_id(term, index), payload: payload() }).collect()
}

async fn stored(log: &mut Log) -> Vec<LogId> {
    let entries = log.try_get_log_entries(..).await.expect("reads");
    entries.iter().map(|entry| entry.log_id).collect()
}

/// Dropping the last handle closes the folder.
fn reopen(path: &Path) -> Log {
    Log::open(path, OWN, None, SIZES).expect("opens").0
}

#[tokio::test]
async fn a_log_that_is_made_for_a_restored_member_has_decided_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    found(&path, OWN, log_id(0, 0), SEGMENT_BYTES).expect("is made");
    assert!(matches!(found(&path, OWN, log_id(0, 0), SEGMENT_BYTES), Err(Error::Exists { .. })));
    let mut log = reopen(&path);
    assert_eq!(log.gate(), None);
    assert_eq!(log.get_log_state().await.expect("reads").last_log_id, Some(log_id(0, 0)));
}

#[tokio::test]
async fn who_still_reads_what_is_truncated_finds_its_end_and_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Log::open(folder.path(), OWN, None, SIZES).expect("opens");
    log.append(entries(1, 0..10), IOFlushed::noop()).await.expect("appends");
    // Whoever looks into the cache now reads the rest from the disk.
    log.save_vote(&Vote::new_committed(2, 9)).await.expect("votes");
    let cached_from = log.shared.cache.lock().first();
    assert!(cached_from > 5, "the cache has the last ones only, from {cached_from} on");
    log.truncate_after(Some(log_id(1, 3))).await.expect("truncates");
    let read = log.read_stored(2, cached_from).expect("nothing is damaged");
    assert_eq!(read.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [2, 3]);
    log.append(entries(2, 4..6), IOFlushed::noop()).await.expect("appends");
    let read = log.limited_get_log_entries(2, cached_from).await.expect("nothing is damaged");
    assert_eq!(read.last().map(|entry| entry.log_id), Some(log_id(1, 3)), "what follows is in the cache");
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = Log::open(folder.path(), OWN, None, SIZES).expect("opens");
    log.append(entries(1, 0..10), IOFlushed::noop()).await.expect("appends");
    // Readable at once; after the vote, which queued behind them, on disk and partly evicted.
    assert_eq!(stored(&mut log).await.len(), 10);
    log.save_vote(&Vote::new_committed(2, 9)).await.expect("votes");
    assert_eq!(stored(&mut log).await, entries(1, 0..10).iter().map(|entry| entry.log_id).collect::<Vec<_>>());
    log.truncate_after(Some(log_id(1, 6))).await.expect("truncates");
    log.append(entries(2, 7..9), IOFlushed::noop()).await.expect("appends");
    log.purge(log_id(1, 2)).await.expect("purges");
    log.save_gate(GateState::Open).await.expect("saves");
    let expected = [(1, 3), (1, 4), (1, 5), (1, 6), (2, 7), (2, 8)].map(|(term, index)| log_id(term, index));
    let after_purge = log.try_get_log_entries(3..).await.expect("reads");
    assert_eq!(after_purge.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), expected);
    let purged = log.limited_get_log_entries(1, 6).await.expect("what was purged is no damage");
    assert!(purged.is_empty(), "{purged:?}");
    drop(log);

    let mut log = reopen(folder.path());
    let state = log.get_log_state().await.expect("reads");
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 2)), Some(log_id(2, 8))));
    assert_eq!(log.read_vote().await.expect("reads"), Some(Vote::new_committed(2, 9)));
    assert_eq!(log.gate(), Some(GateState::Open));
    let restored = log.try_get_log_entries(3..100).await.expect("reads");
    assert_eq!(restored.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_folder_of_somebody_else_or_of_a_newer_format_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, _) = Log::open(folder.path(), OWN, None, SIZES).expect("opens");
    let in_use = Log::open(folder.path(), OWN, None, SIZES).err();
    assert!(matches!(in_use, Some(Error::InUse { .. })), "{in_use:?}");
    drop(log);
    let identity = folder.path().join("identity");
    let owner = std::fs::read(&identity).expect("reads");
    let mut newer = owner.clone();
    newer[19] += 1;
    std::fs::write(&identity, newer).expect("writes");
    let refused = Log::open(folder.path(), OWN, None, SIZES).err();
    assert!(matches!(refused, Some(Error::NewerFormat { found: 3, known: 2 })), "{refused:?}");
    std::fs::write(&identity, owner).expect("writes");
    let other = Identity { member_id: 5, ..OWN };
    let refused = Log::open(folder.path(), other, None, SIZES).err();
    assert!(matches!(refused, Some(Error::Foreign { found_cluster: 1, .. })), "{refused:?}");
    reopen(folder.path());

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("CURRENT"), "MANIFEST-000005").expect("writes");
    let refused = Log::open(folder.path(), OWN, None, SIZES).err();
    assert!(matches!(refused, Some(Error::OlderFormat { .. })), "{refused:?}");
    // Also when it was made later, by an older version.
    std::fs::remove_file(folder.path().join("CURRENT")).expect("removes");
    drop(reopen(folder.path()));
    std::fs::write(folder.path().join("CURRENT"), "MANIFEST-000005").expect("writes");
    let refused = Log::open(folder.path(), OWN, None, SIZES).err();
    assert!(matches!(refused, Some(Error::OlderFormat { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_member_that_was_added_is_known_by_its_name_and_by_its_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let joined = Identity { cluster_id: 7, member_id: 8 };
    let (log, identity) = Log::open(folder.path(), OWN, Some(joined), SIZES).expect("opens");
    assert_eq!(identity, joined);
    drop(log);
    for own in [OWN, joined] {
        let (_, identity) = Log::open(folder.path(), own, None, SIZES).expect("opens");
        assert_eq!(identity, joined);
    }
}

#[tokio::test]
async fn what_a_crash_leaves_of_a_log_that_was_being_made_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Log::open(folder.path(), OWN, None, SIZES).expect("opens"));
    std::fs::remove_file(folder.path().join("identity")).expect("removes");
    std::fs::write(folder.path().join("identity.new"), "half").expect("writes");
    assert!(!Log::exists(folder.path()));
    let mut log = reopen(folder.path());
    assert!(Log::exists(folder.path()));
    assert_eq!(stored(&mut log).await, []);
    assert!(!folder.path().join("identity.new").exists());
}

#[tokio::test]
async fn segments_go_when_nothing_of_them_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = || segment::list(folder.path()).expect("lists");
    let mut log = reopen(folder.path());
    for index in 0..20 {
        log.append(entries(1, index..index + 1), IOFlushed::noop()).await.expect("appends");
        // Queued behind the append, so that each entry is in a round of its own; the vote is in the same, or in one more.
        log.save_vote(&Vote::new_committed(1, 9)).await.expect("votes");
    }
    let made = segments();
    assert!(made.len() >= 5 && made.iter().copied().eq(1..=made.len() as u64), "{made:?}");
    assert_eq!(stored(&mut log).await, (0..20).map(|index| log_id(1, index)).collect::<Vec<_>>());
    log.purge(log_id(1, 9)).await.expect("purges");
    // The writer removes them once it has answered, and before it writes again.
    log.save_vote(&Vote::new_committed(2, 9)).await.expect("votes");
    let left = segments();
    assert!(left[0] > 1 && left.len() < made.len(), "{left:?}");
    drop(log);
    let mut log = reopen(folder.path());
    assert_eq!(log.try_get_log_entries(10..).await.expect("reads").len(), 10);
    assert_eq!(log.read_vote().await.expect("reads"), Some(Vote::new_committed(2, 9)));
    log.purge(log_id(3, 100)).await.expect("purges");
    log.append(entries(3, 101..103), IOFlushed::noop()).await.expect("appends");
    log.save_vote(&Vote::new_committed(3, 9)).await.expect("votes");
    drop(log);
    let mut log = reopen(folder.path());
    let left = log.try_get_log_entries(101..).await.expect("reads");
    assert_eq!(left.iter().map(|entry| entry.log_id).collect::<Vec<_>>(), [log_id(3, 101), log_id(3, 102)]);
}
