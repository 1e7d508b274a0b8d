//! Who is woken by what is said to a watch, wherever that is in what it does.

use std::task::{Wake, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use keelson_proto::etcdserverpb::{CompactionRequest, PutRequest};
use keelson_proto::keelson::store::v1::command::Command as C;
use keelson_proto::keelson::store::v1::{Batch, Command};
use tokio::sync::Semaphore;

use super::*;
use crate::state::{Entry, Options, Payload, State};
use crate::watch;

const PATIENCE: Duration = Duration::from_secs(120);

/// Knows whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that polls, each time with a waker of its own.
#[derive(Default)]
struct Task(Arc<Woken>);

impl Task {
    fn poll(&self, turns: &mut Turns<()>) -> Poll<Option<Turn>> {
        self.0.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.0));
        turns.poll_next_unpin(&mut Context::from_waker(&waker)).map(|found| found.map(|((), turn)| turn))
    }

    fn was_woken(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }
}

struct Store {
    state: State,
    _folder: tempfile::TempDir,
}

impl Store {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::open(&folder.path().join("state"), &Options::default()).expect("opens");
        Self { state, _folder: folder }
    }

    fn apply(&mut self, command: C) {
        let index = self.state.applied().index + 1;
        let commands = vec![Command { command: Some(command), ..Command::default() }];
        let payload = Payload::Batch(Batch { commands, ..Batch::default() });
        self.state.apply(vec![Entry { index, term: 1, log_id: index.to_string().into(), payload }]).expect("applies");
    }

    /// Puts the one key; gives its revision.
    fn put(&mut self) -> i64 {
        self.apply(C::Put(PutRequest { key: "key".into(), value: "value".into(), ..PutRequest::default() }));
        self.state.reader().revision()
    }

    fn watch(&self, start_revision: i64) -> (Turns<()>, Arc<Control>) {
        self.watch_with(start_revision, Arc::new(Semaphore::new(1)))
    }

    /// History is read as soon as there is room.
    fn watch_with(&self, start_revision: i64, room: Arc<Semaphore>) -> (Turns<()>, Arc<Control>) {
        let watcher = self.state.reader().watch(watch::Options {
            key: "key".into(),
            range_end: Bytes::new(),
            start_revision,
            prev_kv: false,
            no_put: false,
            no_delete: false,
            max_buffered_bytes: 1 << 20,
        });
        let watcher = watcher.with_room(room);
        let control = Arc::new(Control::default());
        (Turns::new((), watcher, Arc::clone(&control)), control)
    }
}

fn turn(found: Poll<Option<Turn>>) -> Turn {
    match found {
        Poll::Ready(Some(turn)) => turn,
        Poll::Ready(None) => panic!("it has ended"),
        Poll::Pending => panic!("it has nothing to say"),
    }
}

#[test]
fn a_watch_that_waits_is_ended_at_once_when_it_is_cancelled() {
    let mut store = Store::open();
    let (mut turns, control) = store.watch(0);
    let task = Task::default();
    assert!(task.poll(&mut turns).is_pending());
    control.cancel();
    assert!(task.was_woken());
    // What came meanwhile is not said any more.
    store.put();
    assert!(matches!(task.poll(&mut turns), Poll::Ready(None)));
    assert!(matches!(task.poll(&mut turns), Poll::Ready(None)));
}

#[test]
fn a_watch_that_is_cancelled_between_two_turns_says_nothing_more() {
    let mut store = Store::open();
    let (mut turns, control) = store.watch(0);
    let task = Task::default();
    let revision = store.put();
    assert_eq!(turn(task.poll(&mut turns)).delivered, revision);
    control.cancel();
    store.put();
    assert!(matches!(task.poll(&mut turns), Poll::Ready(None)));
}

#[test]
fn a_watch_that_waits_tells_how_far_it_is_when_it_is_asked() {
    let mut store = Store::open();
    let revision = store.put();
    let (mut turns, control) = store.watch(0);
    let task = Task::default();
    assert!(task.poll(&mut turns).is_pending());
    control.report_progress();
    assert!(task.was_woken());
    let told = turn(task.poll(&mut turns));
    assert_eq!((told.progress, told.delivered, told.events.len()), (true, revision, 0));
    assert!(task.poll(&mut turns).is_pending(), "it is told once");
}

#[test]
fn a_watch_that_is_asked_between_two_turns_delivers_first_and_tells_then() {
    let mut store = Store::open();
    let (mut turns, control) = store.watch(0);
    let task = Task::default();
    store.put();
    assert_eq!(turn(task.poll(&mut turns)).events.len(), 1);
    let revision = store.put();
    control.report_progress();
    let told = turn(task.poll(&mut turns));
    assert_eq!((told.progress, told.delivered, told.events.len()), (true, revision, 1));
}

#[test]
fn whoever_polled_last_is_woken() {
    let mut store = Store::open();
    let (mut turns, control) = store.watch(0);
    let (former, later) = (Task::default(), Task::default());
    assert!(former.poll(&mut turns).is_pending());
    assert!(later.poll(&mut turns).is_pending());
    store.put();
    assert!(later.was_woken());
    assert_eq!(turn(former.poll(&mut turns)).events.len(), 1);
    assert!(former.poll(&mut turns).is_pending());
    control.report_progress();
    assert!(former.was_woken(), "of what is said to it, too");
}

/// Polls until the watch says something, once for each time that the task is woken.
async fn next_when_woken(turns: &mut Turns<()>) -> Option<Turn> {
    tokio::time::timeout(PATIENCE, turns.next()).await.expect("it is woken in time").map(|((), turn)| turn)
}

#[tokio::test]
async fn what_is_said_while_history_is_read_counts() {
    let mut store = Store::open();
    let first = store.put();
    let second = store.put();
    let room = Arc::new(Semaphore::new(0));
    let (mut turns, control) = store.watch_with(first, Arc::clone(&room));
    let task = Task::default();
    assert!(task.poll(&mut turns).is_pending());
    control.report_progress();
    assert!(task.was_woken());
    assert!(task.poll(&mut turns).is_pending());
    room.add_permits(1);
    let told = next_when_woken(&mut turns).await.expect("it goes on");
    assert_eq!((told.events.len(), told.progress, told.delivered), (2, true, second));

    let (mut turns, control) = store.watch_with(first, Arc::new(Semaphore::new(0)));
    assert!(task.poll(&mut turns).is_pending());
    control.cancel();
    assert!(task.was_woken());
    assert!(matches!(task.poll(&mut turns), Poll::Ready(None)));
}

#[tokio::test]
async fn reading_wakes_whoever_polled_last() {
    let mut store = Store::open();
    let first = store.put();
    let room = Arc::new(Semaphore::new(0));
    let (mut turns, _control) = store.watch_with(first, Arc::clone(&room));
    // Another task began, and does not go on.
    assert!(Task::default().poll(&mut turns).is_pending());
    let (told, ()) = tokio::join!(biased; next_when_woken(&mut turns), async { room.add_permits(1) });
    assert_eq!(told.expect("it goes on").events.len(), 1);
}

#[tokio::test]
async fn a_watch_of_what_was_compacted_ends_with_that_turn() {
    let mut store = Store::open();
    let first = store.put();
    let second = store.put();
    store.apply(C::Compact(CompactionRequest { revision: second, physical: false }));
    let (mut turns, _control) = store.watch(first);
    let last = next_when_woken(&mut turns).await.expect("it says why");
    assert_eq!(last.end, Some(End::Compacted { compact_revision: second }));
    assert!(next_when_woken(&mut turns).await.is_none());
}
