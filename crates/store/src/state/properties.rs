//! The state against the [model](super::model), over random commands, restarts, crashes and replacements.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    request_op::Request,
};
use keelson_proto::keelson::store::v1::command::Command as C;
use keelson_proto::keelson::store::v1::{
    AlarmChange, Batch, Command, LeaseCheckpoint, LeaseExpire, LeaseGrant, LeaseRevoke, lease_checkpoint::Remaining,
};
use keelson_proto::mvccpb::Event;
use proptest::prelude::*;

use super::model::Model;
use super::{Entry, Options, Payload, State};
use crate::mvcc::span::Span;
use crate::validate;
use crate::watch::{self, Item, Watcher};

/// How long a watcher may take to hand out what there is.
const WATCH_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
enum Step {
    /// Applies entries as one slice, each a list of commands.
    Apply(Vec<Vec<Command>>),
    Flush,
    /// Has RocksDB rewrite all its files, so that filters run.
    Rewrite,
    /// Closes and opens again.
    Restart,
    /// Goes on from what a crash would leave.
    Crash,
    /// Replaces an empty state by a checkpoint.
    Install,
    /// Takes what a watcher has.
    Watch,
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["a", "a\0", "ab", "b", "c"]).prop_map(|key| Bytes::from_static(key.as_bytes()))
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "", "b", "c", "\0"]).prop_map(|key| Bytes::from_static(key.as_bytes()))
}

/// 0 is none; 3 is never granted.
fn lease() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![0, 0, 0, 1, 2, 3])
}

fn put() -> impl Strategy<Value = PutRequest> {
    (key(), prop::sample::select(vec!["x", "y", ""]), lease(), any::<bool>(), 0..8).prop_map(
        |(key, value, lease, prev_kv, keep)| PutRequest {
            key,
            value: if keep == 0 { Bytes::new() } else { value.into() },
            lease: if keep == 1 { 0 } else { lease },
            prev_kv,
            ignore_value: keep == 0,
            ignore_lease: keep == 1,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn range() -> impl Strategy<Value = RangeRequest> {
    (key(), range_end(), prop::sample::select(vec![0i64, 0, 2, 5, 9, 30]))
        .prop_map(|(key, range_end, revision)| RangeRequest { key, range_end, revision, ..RangeRequest::default() })
}

fn compare() -> impl Strategy<Value = Compare> {
    (key(), range_end(), 0..4i32, 0..5, 0..6i64).prop_map(|(key, range_end, result, target, number)| {
        let (target, union) = match target {
            0 => (CompareTarget::Version, TargetUnion::Version(number)),
            1 => (CompareTarget::Create, TargetUnion::CreateRevision(number)),
            2 => (CompareTarget::Mod, TargetUnion::ModRevision(number)),
            3 => (CompareTarget::Lease, TargetUnion::Lease(number)),
            _ => (CompareTarget::Value, TargetUnion::Value("x".into())),
        };
        let result = CompareResult::try_from(result).expect("a result");
        Compare { result: result.into(), target: target.into(), key, range_end, target_union: Some(union) }
    })
}

fn operations(depth: u32) -> BoxedStrategy<Vec<RequestOp>> {
    let leaf = prop_oneof![
        3 => put().prop_map(Request::RequestPut),
        1 => delete().prop_map(Request::RequestDeleteRange),
        1 => range().prop_map(Request::RequestRange),
    ];
    let one = if depth == 0 {
        leaf.boxed()
    } else {
        prop_oneof![4 => leaf, 1 => txn(depth - 1).prop_map(Request::RequestTxn)].boxed()
    };
    prop::collection::vec(one.prop_map(|request| RequestOp { request: Some(request) }), 0..4).boxed()
}

fn txn(depth: u32) -> BoxedStrategy<TxnRequest> {
    (prop::collection::vec(compare(), 0..2), operations(depth), operations(depth))
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
        .boxed()
}

fn command() -> impl Strategy<Value = Command> {
    let command = prop_oneof![
        10 => put().prop_map(C::Put),
        3 => delete().prop_map(C::DeleteRange),
        6 => txn(2).prop_filter("a proposer refuses it", |txn| validate::txn(txn, validate::TXN_OPS_MAX).is_ok())
            .prop_map(C::Txn),
        3 => (1..16i64).prop_map(|revision| C::Compact(CompactionRequest { revision, physical: false })),
        2 => (1..3i64).prop_map(|id| C::LeaseGrant(LeaseGrant { id, ttl_seconds: 60 })),
        1 => (1..4i64).prop_map(|id| C::LeaseRevoke(LeaseRevoke { id })),
        1 => prop::collection::vec(1..4i64, 0..3).prop_map(|ids| C::LeaseExpire(LeaseExpire { ids })),
        1 => (1..4i64, 0..9i64).prop_map(|(id, remaining_seconds)| {
            C::LeaseCheckpoint(LeaseCheckpoint { leases: vec![Remaining { id, remaining_seconds }] })
        }),
        // Mostly taken back, or hardly anything else would be tried.
        2 => (0..4u8, 1..3u64, 1..3i32, any::<bool>()).prop_map(|(chance, member_id, alarm, automatic)| {
            C::Alarm(AlarmChange { active: chance == 0, member_id, alarm, automatic })
        }),
    ];
    (command, prop::sample::select(vec![0u64, 0, 0, 1, 2])).prop_map(|(command, fence_term)| Command {
        fence_term,
        command: Some(command),
        ..Command::default()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let entries = prop::collection::vec(prop::collection::vec(command(), 0..4), 1..4);
    prop_oneof![
        20 => entries.prop_map(Step::Apply),
        2 => Just(Step::Flush),
        4 => Just(Step::Rewrite),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::Install),
        4 => Just(Step::Watch),
    ]
}

/// A state beside its model.
struct Run {
    folder: tempfile::TempDir,
    folders: usize,
    state: State,
    model: Model,
    log: Vec<Entry>,
    watch: Watch,
}

/// A watcher, and what it should still hand out.
struct Watch {
    watcher: Watcher,
    next: i64,
}

const WATCHED: (&str, &str) = ("a\0", "c");

fn options() -> Options {
    Options { flush_entries: 7, block_cache_bytes: 1 << 20, memtable_bytes: 1 << 20, ..Options::default() }
}

fn watch_from(state: &State, start_revision: i64) -> Watch {
    let watcher = state.reader().watch(watch::Options {
        key: WATCHED.0.into(),
        range_end: WATCHED.1.into(),
        start_revision,
        prev_kv: true,
        no_put: false,
        no_delete: false,
        max_buffered_bytes: 300,
    });
    Watch { watcher, next: start_revision }
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::open(&folder.path().join("0"), &options()).expect("opens");
        let watch = watch_from(&state, 2);
        Self { folder, folders: 1, state, model: Model::new(), log: Vec::new(), watch }
    }

    fn fresh_path(&mut self) -> std::path::PathBuf {
        self.folders += 1;
        self.folder.path().join(self.folders.to_string())
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Apply(entries) => self.apply(entries),
            Step::Flush => {
                self.state.flush().expect("flushes");
                assert_eq!(self.state.flushed_index(), self.log.len() as u64);
            }
            Step::Rewrite => {
                // What is compacted is dropped only once that is durable.
                self.state.flush().expect("flushes");
                let columns = self.state.generation.columns().expect("open");
                for family in columns.each() {
                    columns.db.compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
                }
            }
            Step::Restart => {
                let path = self.fresh_path();
                let root = self.state.root.clone();
                self.state = State::open(&path, &options()).expect("opens");
                self.state = State::open(&root, &options()).expect("opens again");
                self.replay();
            }
            Step::Crash => {
                let path = self.fresh_path();
                // Read before the copy, so that what becomes durable meanwhile is not asked of it.
                let flushed = self.state.flushed_index();
                let db = self.state.generation.db();
                db.disable_file_deletions().expect("kept");
                copy(&self.state.root, &path);
                db.enable_file_deletions().expect("removed again");
                self.state = State::open(&path, &options()).expect("opens after a crash");
                assert!(self.state.applied().index >= flushed);
                self.replay();
            }
            Step::Install => {
                let (checkpoint, path) = (self.fresh_path(), self.fresh_path());
                let applied = self.state.checkpoint(&checkpoint).expect("a checkpoint");
                assert_eq!(applied, self.state.applied());
                let mut other = State::open(&path, &options()).expect("opens");
                let watch = watch_from(&other, self.watch.next);
                other.install(&checkpoint).expect("installs");
                assert_eq!(other.applied(), applied);
                self.state = other;
                self.watch = watch;
            }
            Step::Watch => self.check_watch(),
        }
        self.check();
    }

    fn apply(&mut self, entries: Vec<Vec<Command>>) {
        let mut expected = Vec::new();
        let first = self.log.len() as u64 + 1;
        for (commands, index) in entries.into_iter().zip(first..) {
            let term = 1 + index / 20;
            expected.push(commands.iter().map(|command| self.model.apply(term, command.clone())).collect::<Vec<_>>());
            let batch = Batch { commands, ..Batch::default() };
            let log_id = Bytes::copy_from_slice(&index.to_be_bytes());
            self.log.push(Entry { index, term, log_id, payload: Payload::Batch(batch) });
        }
        let replies = self.state.apply(self.log[first as usize - 1..].to_vec()).expect("applies");
        assert_eq!(replies, expected);
    }

    /// Applies again what the state had not kept.
    fn replay(&mut self) {
        let kept = self.state.applied().index as usize;
        self.state.apply(self.log[kept..].to_vec()).expect("applies again");
        self.watch = watch_from(&self.state, self.watch.next);
    }

    fn check(&self) {
        self.state.validate();
        let reader = self.state.reader();
        assert_eq!((reader.revision(), reader.compacted()), (self.model.revision, self.model.compacted));
        let leases: Vec<(i64, i64)> = reader.leases().iter().map(|lease| (lease.id, lease.remaining_seconds)).collect();
        assert_eq!(leases, self.model.leases.clone().into_iter().collect::<Vec<_>>());
        for revision in self.model.compacted.max(1)..=self.model.revision {
            let request =
                RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..RangeRequest::default() };
            let response = reader.range(&request).expect("can be read");
            assert_eq!(response.kvs, self.model.content(revision), "at revision {revision}");
        }
    }

    /// Takes all there is from the watcher and compares it with history.
    fn check_watch(&mut self) {
        let span = Span::new(&WATCHED.0.into(), &WATCHED.1.into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        self.watch.watcher.request_progress();
        loop {
            let next = runtime.block_on(async { tokio::time::timeout(WATCH_TIMEOUT, self.watch.watcher.next()).await });
            match next.expect("in time").expect("not ended") {
                Item::Events { revision, events } => {
                    assert!(self.expected(&span, self.watch.next..revision).is_empty(), "events were left out");
                    let (expected, _) = self.expected(&span, revision..revision + 1).pop().expect("no such events");
                    assert_eq!(without_compacted_previous(events), without_compacted_previous(expected));
                    self.watch.next = revision + 1;
                }
                Item::Progress { revision } => {
                    assert!(self.expected(&span, self.watch.next..revision + 1).is_empty(), "events were left out");
                    self.watch.next = revision + 1;
                    assert_eq!(revision, self.model.revision);
                    return;
                }
                Item::Compacted { compact_revision } => {
                    assert!(self.watch.next < compact_revision);
                    assert_eq!(compact_revision, self.model.compacted);
                    self.watch = watch_from(&self.state, compact_revision);
                    self.watch.watcher.request_progress();
                }
            }
        }
    }

    fn expected(&self, span: &Span, revisions: std::ops::Range<i64>) -> Vec<(Vec<Event>, i64)> {
        let matching = |events: &Vec<Event>| -> Vec<Event> {
            let matches = |event: &&Event| event.kv.as_ref().is_some_and(|pair| span.contains(&pair.key));
            events.iter().filter(matches).cloned().collect()
        };
        self.model
            .history
            .range(revisions)
            .map(|(revision, events)| (matching(events), *revision))
            .filter(|(events, _)| !events.is_empty())
            .collect()
    }
}

/// A replaced pair may be missing when it was compacted before the event was read; then nothing is said about it.
fn without_compacted_previous(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().map(|event| Event { prev_kv: None, ..event }).collect()
}

/// Copies a folder in use, as a crash would leave it: what describes the files before the files.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let mut paths: Vec<_> =
        std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "sst"));
    for path in paths {
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if let Err(error) = std::fs::copy(&path, &target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{path:?}");
        }
    }
    // Written since: a file that the description, copied first, may not name yet, but never the other way round.
    for path in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let target = to.join(path.file_name().expect("a name"));
        if path.extension().is_some_and(|extension| extension == "sst") && !target.exists() {
            std::fs::copy(&path, &target).expect("copies");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_state_does_what_the_model_does(steps in prop::collection::vec(step(), 1..25)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.step(Step::Watch);
    }
}
