//! The state, case by case.

mod leases_of_users;
mod listing;
mod slow_watchers;

use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use keelson_proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse};
use keelson_proto::keelson::store::v1::command::Command as C;
use keelson_proto::keelson::store::v1::{Batch, Command, Reply};

use super::{Entry, Error, Options, Payload, State};
use crate::watch::{self, Item, Watcher};

/// How long a watcher may take to hand out what there is.
const WATCH_TIMEOUT: Duration = Duration::from_secs(120);

fn open() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::open(&folder.path().join("state"), &Options::default()).expect("opens");
    (folder, state)
}

fn entry(index: u64, commands: Vec<C>) -> Entry {
    let commands =
        commands.into_iter().map(|command| Command { command: Some(command), ..Command::default() }).collect();
    let batch = Batch { commands, ..Batch::default() };
    Entry { index, term: 1, log_id: Bytes::from(index.to_string()), payload: Payload::Batch(batch) }
}

fn apply(state: &mut State, commands: Vec<C>) -> Vec<Reply> {
    let index = state.applied().index + 1;
    let replies = state.apply(vec![entry(index, commands)]).expect("applies").pop().expect("one entry");
    state.validate();
    replies
}

fn put(key: &str, value: &str) -> C {
    C::Put(PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..PutRequest::default()
    })
}

fn delete(key: &str) -> C {
    C::DeleteRange(DeleteRangeRequest { key: Bytes::copy_from_slice(key.as_bytes()), ..DeleteRangeRequest::default() })
}

fn compact(revision: i64) -> C {
    C::Compact(CompactionRequest { revision, physical: false })
}

fn all() -> RangeRequest {
    RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() }
}

fn keys(response: &RangeResponse) -> Vec<&str> {
    response.kvs.iter().map(|pair| std::str::from_utf8(&pair.key).expect("text")).collect()
}

fn watch_all(state: &State, start_revision: i64, max_buffered_bytes: usize) -> Watcher {
    state.reader().watch(watch::Options {
        key: "\0".into(),
        range_end: "\0".into(),
        start_revision,
        prev_kv: false,
        no_put: false,
        no_delete: false,
        max_buffered_bytes,
    })
}

async fn next(watcher: &mut Watcher) -> Item {
    tokio::time::timeout(WATCH_TIMEOUT, watcher.next()).await.expect("in time").expect("not ended")
}

async fn revisions_until(watcher: &mut Watcher, last: i64) -> Vec<i64> {
    let mut revisions = Vec::new();
    while revisions.last() != Some(&last) {
        match next(watcher).await {
            Item::Events { revision, .. } => revisions.push(revision),
            other => panic!("{other:?}"),
        }
    }
    revisions
}

#[test]
fn ranges_with_every_option() {
    let (_folder, mut state) = open();
    apply(&mut state, vec![put("c", "1"), put("a", "3"), put("b", "2"), put("a", "0"), put("d", "9"), delete("d")]);
    let reader = state.reader();
    let range = |request: RangeRequest| reader.range(&request).expect("can be read");
    let sorted = |target: SortTarget, order: SortOrder, limit: i64| {
        range(RangeRequest { sort_target: target.into(), sort_order: order.into(), limit, ..all() })
    };

    let response = range(RangeRequest { limit: 2, ..all() });
    assert_eq!((keys(&response), response.more, response.count), (vec!["a", "b"], true, 3));
    let response = range(RangeRequest { limit: 3, ..all() });
    assert_eq!((response.kvs.len(), response.more), (3, false));
    let response = range(RangeRequest { count_only: true, limit: 1, ..all() });
    assert_eq!((response.kvs.len(), response.more, response.count), (0, false, 3));
    let response = range(RangeRequest { keys_only: true, ..all() });
    assert!(response.kvs.iter().all(|pair| pair.value.is_empty()) && response.kvs.len() == 3);
    let response = range(RangeRequest { revision: 4, ..all() });
    assert_eq!((keys(&response), response.kvs[0].value.as_ref()), (vec!["a", "b", "c"], &b"3"[..]));
    assert_eq!(response.header.expect("a header").revision, 7);
    assert_eq!(keys(&range(RangeRequest { min_mod_revision: 4, ..all() })), ["a", "b"]);
    assert_eq!(keys(&range(RangeRequest { max_create_revision: 2, ..all() })), ["c"]);
    assert_eq!(keys(&sorted(SortTarget::Key, SortOrder::Descend, 2)), ["c", "b"]);
    assert_eq!(keys(&sorted(SortTarget::Mod, SortOrder::Ascend, 0)), ["c", "b", "a"]);
    assert_eq!(keys(&sorted(SortTarget::Create, SortOrder::None, 0)), ["c", "a", "b"]);
    assert_eq!(keys(&sorted(SortTarget::Version, SortOrder::Descend, 1)), ["a"]);
    let response = sorted(SortTarget::Value, SortOrder::Descend, 1);
    assert_eq!((keys(&response), response.more, response.count), (vec!["b"], true, 3));
    assert!(matches!(
        reader.range(&RangeRequest { revision: 9, ..all() }),
        Err(crate::Error::FutureRevision { requested: 9, current: 7 })
    ));
}

#[test]
fn a_sorted_range_with_a_limit_is_right_beyond_its_buffer() {
    let (_folder, mut state) = open();
    apply(&mut state, (0..1000).map(|number| put(&format!("{:03}", (number * 7) % 1000), "v")).collect());
    let request =
        RangeRequest { sort_target: SortTarget::Mod.into(), sort_order: SortOrder::Descend.into(), limit: 3, ..all() };
    let response = state.reader().range(&request).expect("can be read");
    assert_eq!(keys(&response), ["993", "986", "979"]);
    assert_eq!((response.more, response.count), (true, 1000));
}

#[test]
fn compaction_frees_versions_tombstones_and_history() {
    let (_folder, mut state) = open();
    for round in 0..20 {
        apply(&mut state, vec![put("kept", &round.to_string()), put("gone", "x"), delete("gone")]);
    }
    let revision = state.reader().revision();
    apply(&mut state, vec![compact(revision), put("new", "v")]);
    state.flush().expect("flushes");
    for index in 0..4 {
        apply(&mut state, vec![put("new", &index.to_string())]);
    }
    state.flush().expect("flushes");
    let columns = state.generation.columns().expect("open");
    columns.db.compact_range_cf(columns.data, None::<&[u8]>, None::<&[u8]>);
    let count = |family| columns.db.iterator_cf(family, rocksdb::IteratorMode::Start).count();
    // "kept" once, the tombstone at the compacted revision, and five versions of "new".
    assert_eq!(count(columns.data), 7);
    assert_eq!(count(columns.rev), 6);
    assert!(matches!(
        state.reader().range(&RangeRequest { revision: revision - 1, ..all() }),
        Err(crate::Error::Compacted { .. })
    ));
    assert_eq!(keys(&state.reader().range(&RangeRequest { revision, ..all() }).expect("can be read")), ["kept"]);
}

#[test]
fn a_deleted_key_with_a_long_past_leaves_nothing() {
    let (_folder, mut state) = open();
    let puts: Vec<C> = (0..200).map(|number| put("long", &number.to_string())).collect();
    apply(&mut state, puts);
    apply(&mut state, vec![put("long\0", "stays"), delete("long"), put("other", "v")]);
    let revision = state.reader().revision();
    apply(&mut state, vec![compact(revision)]);
    state.flush().expect("flushes");
    apply(&mut state, vec![]);
    let columns = state.generation.columns().expect("open");
    assert_eq!(columns.db.iterator_cf(columns.data, rocksdb::IteratorMode::Start).count(), 2);
    assert_eq!(columns.db.iterator_cf(columns.rev, rocksdb::IteratorMode::Start).count(), 1);
    assert_eq!(keys(&state.reader().range(&all()).expect("can be read")), ["long\0", "other"]);
}

/// Readers and watchers are used from any thread, and a watch from any task.
#[test]
fn what_is_handed_out_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let (_folder, state) = open();
    sent(&state);
    shared(&state.reader());
    let mut watcher = watch_all(&state, 0, 1);
    sent(&watcher);
    sent(&watcher.next());
}

#[test]
fn members_agree_on_the_hash_whatever_their_files() {
    let (_a, mut one) = open();
    let (_b, mut other) = open();
    for state in [&mut one, &mut other] {
        apply(state, vec![put("a", "1"), put("b", "2"), put("a", "3"), delete("b"), put("c", "4")]);
        apply(state, vec![compact(4), put("d", "5")]);
    }
    one.flush().expect("flushes");
    apply(&mut one, vec![]);
    let columns = one.generation.columns().expect("open");
    columns.db.compact_range_cf(columns.data, None::<&[u8]>, None::<&[u8]>);
    for revision in [0, 5, 7] {
        let (a, b) = (one.reader().hash_kv(revision), other.reader().hash_kv(revision));
        assert_eq!(a.expect("a hash").hash, b.expect("a hash").hash);
    }
    let before = one.reader().hash_kv(6).expect("a hash").hash;
    assert_ne!(before, one.reader().hash_kv(7).expect("a hash").hash);
    assert!(matches!(one.reader().hash_kv(3), Err(crate::Error::Compacted { .. })));
}

#[test]
fn entries_out_of_order_and_unknown_commands_change_nothing() {
    let (_folder, mut state) = open();
    let error = state.apply(vec![entry(2, vec![])]).expect_err("entry 1 is missing");
    assert!(matches!(error, Error::OutOfOrder { index: 2, applied: 0 }));
    let unknown = Batch { commands: vec![Command::default()], ..Batch::default() };
    let unknown = Entry { payload: Payload::Batch(unknown), ..entry(2, vec![]) };
    let error = state.apply(vec![entry(1, vec![put("a", "1")]), unknown]).expect_err("an unknown command");
    assert!(matches!(error, Error::UnknownCommand { index: 2 }));
    assert_eq!((state.applied().index, state.reader().revision()), (0, 1));
}

#[test]
fn membership_and_position_survive() {
    let (folder, mut state) = open();
    let membership = Bytes::from_static(b"three members");
    let entries = vec![
        Entry { payload: Payload::Membership(membership.clone()), ..entry(1, vec![]) },
        Entry { payload: Payload::Blank, ..entry(2, vec![]) },
    ];
    assert_eq!(state.apply(entries).expect("applies"), [vec![], vec![]]);
    let applied = state.applied();
    assert_eq!((applied.membership.clone(), applied.log_id.as_ref()), (membership, &b"2"[..]));
    drop(state);
    let state = State::open(&folder.path().join("state"), &Options::default()).expect("opens again");
    assert_eq!(state.applied(), applied);
    assert_eq!(state.flushed_index(), 2);
}

#[test]
fn a_folder_of_a_newer_format_is_refused() {
    let (folder, state) = open();
    let path = state.root.join("state-1");
    drop(state);
    let mut families = rocksdb::Options::default();
    families.create_missing_column_families(true);
    let names = ["data", "rev", "lease", "lease_keys", "meta", "auth", "later"];
    drop(rocksdb::DB::open_cf(&families, path, names).expect("opens"));
    let error = State::open(&folder.path().join("state"), &Options::default()).err().expect("is newer");
    assert!(error.to_string().contains("newer format (with a column family later)"), "{error}");
}

#[test]
fn readers_of_a_closed_state_are_told() {
    let (_folder, mut state) = open();
    apply(&mut state, vec![put("a", "1")]);
    let reader = state.reader();
    drop(state);
    assert!(matches!(reader.range(&all()), Err(crate::Error::Stopped)));
    assert_eq!(reader.revision(), 2);
}

#[tokio::test]
async fn a_slow_watcher_catches_up_without_loss_and_joins_again() {
    let (_folder, mut state) = open();
    let mut watcher = watch_all(&state, 0, 1);
    for number in 0..50 {
        apply(&mut state, vec![put("a", &number.to_string()), put("b", "x")]);
    }
    assert_eq!(watcher.progress(), 1);
    assert_eq!(revisions_until(&mut watcher, 101).await, (2..=101).collect::<Vec<_>>());
    assert_eq!(watcher.progress(), 101);
    apply(&mut state, vec![put("a", "live")]);
    assert_eq!(revisions_until(&mut watcher, 102).await, [102]);
    watcher.request_progress();
    assert_eq!(next(&mut watcher).await, Item::Progress { revision: 102 });
}

#[tokio::test]
async fn watches_start_in_the_past_in_the_future_and_after_compaction() {
    let (_folder, mut state) = open();
    apply(&mut state, vec![put("a", "1"), put("a", "2"), put("a", "3")]);
    let mut past = watch_all(&state, 3, 1 << 20);
    assert_eq!(revisions_until(&mut past, 4).await, [3, 4]);
    let mut future = watch_all(&state, 6, 1 << 20);
    assert_eq!(future.progress(), 0);
    apply(&mut state, vec![put("a", "5"), put("a", "6")]);
    assert_eq!(revisions_until(&mut future, 6).await, [6]);
    apply(&mut state, vec![compact(4)]);
    let mut compacted = watch_all(&state, 3, 1 << 20);
    assert_eq!(next(&mut compacted).await, Item::Compacted { compact_revision: 4 });
    assert_eq!(compacted.next().await, None);
    let mut edge = watch_all(&state, 4, 1 << 20);
    assert_eq!(revisions_until(&mut edge, 6).await, [4, 5, 6]);
    drop(state);
    assert_eq!(edge.next().await, None);
}

#[tokio::test]
async fn watchers_survive_a_replacement_of_the_content() {
    let (_folder, mut leader) = open();
    let (folder, mut follower) = open();
    apply(&mut leader, vec![put("a", "1")]);
    apply(&mut follower, vec![put("a", "1")]);
    let mut watcher = watch_all(&follower, 0, 1 << 20);
    let reader = follower.reader();
    apply(&mut leader, vec![put("a", "2"), put("b", "3")]);
    let checkpoint = folder.path().join("checkpoint");
    leader.checkpoint(&checkpoint).expect("a checkpoint");
    follower.install(&checkpoint).expect("installs");
    assert_eq!(revisions_until(&mut watcher, 4).await, [3, 4]);
    assert_eq!(reader.revision(), 4);
    assert_eq!(keys(&reader.range(&all()).expect("can be read")), ["a", "b"]);
    assert!(!follower.root.join("state-1").exists(), "the replaced database is removed");
    apply(&mut follower, vec![put("c", "4")]);
    assert_eq!(revisions_until(&mut watcher, 5).await, [5]);
    assert!(checkpoint.exists(), "the checkpoint stays");
}

#[test]
fn who_sums_up_large_values_looks_as_often_as_with_many_small_ones() {
    let (_folder, mut state) = open();
    let large = "x".repeat(1 << 20);
    apply(&mut state, (0..8).map(|i| put(&format!("large-{i}"), &large)).collect());
    let reader = state.reader();
    let looks = std::cell::Cell::new(0);
    let all = reader.hash_kv_while(0, || looks.replace(looks.get() + 1) < usize::MAX).expect("a sum");
    assert!(looks.get() >= 8, "{} looks at 8 MiB", looks.get());
    assert_eq!(all.hash, reader.hash_kv(0).expect("a sum").hash);
    looks.set(0);
    let stopped = reader.hash_kv_while(0, || looks.replace(looks.get() + 1) < 3);
    assert!(matches!(stopped, Err(crate::Error::Storage(Error::Closed))), "{stopped:?}");
    assert_eq!(looks.get(), 4, "it ends with the look that says so");
}
