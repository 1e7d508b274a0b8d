//! Watchers that do not read: what they cost, and whom.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::watch::Found;

/// Knows whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn watchers_are_woken_once_those_who_write_may_have_been_told() {
    let (_folder, mut state) = open();
    let mut watcher = watch_all(&state, 0, 1 << 20);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    {
        let mut next = pin!(watcher.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let (_, wakes) = state.apply_then_wake(vec![entry(1, vec![put("a", "1")])]).expect("applies");
        assert!(!woken.0.load(Ordering::Relaxed));
        drop(wakes);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
    // What is there already is found without being woken, whoever asks.
    let (_, wakes) = state.apply_then_wake(vec![entry(2, vec![put("a", "2")])]).expect("applies");
    assert!(matches!(next(&mut watcher).await, Item::Events { .. }));
    drop(wakes);
    assert_eq!(state.reader().published(), state.reader().revision());
}

#[tokio::test]
async fn what_is_encoded_is_counted_and_shared() {
    let (_folder, mut state) = open();
    let (mut one, mut other) = (watch_all(&state, 0, 1 << 20), watch_all(&state, 0, 1 << 20));
    let value = "v".repeat(100 << 10);
    apply(&mut state, vec![put("a", &value)]);
    let plain = state.reader().retained_bytes();
    let mut context = Context::from_waker(Waker::noop());
    let mut take = |watcher: &mut Watcher| match watcher.poll_found(&mut context) {
        Poll::Ready(Some(Found::Live(delivery))) => delivery.encoded().next().expect("an event"),
        _ => panic!("nothing is there"),
    };
    let encoded = take(&mut one);
    assert_eq!(state.reader().retained_bytes(), plain + encoded.len());
    assert_eq!(take(&mut other).as_ptr(), encoded.as_ptr(), "it was encoded again");
    assert_eq!(state.reader().retained_bytes(), 0);
}

#[tokio::test]
async fn entries_that_are_applied_together_do_not_push_watchers_into_history() {
    let (_folder, mut state) = open();
    let _watchers = (watch_all(&state, 0, 64 << 20), watch_all(&state, 0, 64 << 20));
    let value = "v".repeat(1 << 20);
    state.apply((1..=32).map(|index| entry(index, vec![put("a", &value)])).collect()).expect("applies");
    assert_eq!(state.reader().watchers(), (2, 0));
}

#[tokio::test]
async fn watchers_that_never_read_cost_bounded_memory_and_lose_nothing() {
    let (_folder, mut state) = open();
    let value = "v".repeat(100 << 10);
    // Each holds one revision only, of a key that does not change again: no buffer of its own is ever full.
    let mut slow: Vec<Watcher> = (0..1000)
        .map(|i| {
            let options = watch::Options {
                key: format!("k{i}").into(),
                range_end: Bytes::new(),
                start_revision: 0,
                prev_kv: false,
                no_put: false,
                no_delete: false,
                max_buffered_bytes: 1 << 20,
            };
            state.reader().watch(options)
        })
        .collect();
    let mut stuck = watch_all(&state, 0, 1 << 20);
    let mut fast = watch_all(&state, 0, 1 << 20);
    let retained = |state: &State| state.reader().retained_bytes();
    let mut most = 0;
    for i in 0..1000 {
        let index = state.applied().index + 1;
        state.apply(vec![entry(index, vec![put(&format!("k{i}"), &value)])]).expect("applies");
        // The one that reads is not behind any other.
        let revision = state.reader().revision();
        assert!(matches!(next(&mut fast).await, Item::Events { revision: seen, .. } if seen == revision));
        most = most.max(retained(&state));
    }
    assert!(most > 32 << 20, "what is not read is kept, up to a bound: {most}");
    assert!(most <= 65 << 20, "{most}");
    // Nothing was lost for it.
    for watcher in &mut slow {
        assert!(matches!(next(watcher).await, Item::Events { events, .. } if events.len() == 1));
    }
    let last = state.reader().revision();
    let seen = revisions_until(&mut stuck, last).await;
    assert_eq!(seen, (last - 999..=last).collect::<Vec<_>>());
    assert_eq!(retained(&state), 0);
}

#[tokio::test]
async fn watchers_that_share_room_read_history_in_turns() {
    let (_folder, mut state) = open();
    for i in 0..20 {
        apply(&mut state, vec![put("a", &i.to_string())]);
    }
    let room = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let mut first = watch_all(&state, 2, 1 << 20).with_room(room.clone());
    let mut second = watch_all(&state, 2, 1 << 20).with_room(room.clone());
    assert!(matches!(next(&mut first).await, Item::Events { revision: 2, .. }));
    // The first has more to hand out, so the second waits without having read anything.
    assert_eq!(room.available_permits(), 0);
    let waits = tokio::time::timeout(Duration::from_millis(50), second.next()).await;
    assert!(waits.is_err());
    let last = state.reader().revision();
    assert_eq!(revisions_until(&mut first, last).await.len(), 19);
    // Live again, it gives its room back.
    assert!(tokio::time::timeout(Duration::from_millis(50), first.next()).await.is_err());
    assert_eq!(revisions_until(&mut second, last).await.len(), 20);
    drop((first, second));
    assert_eq!(room.available_permits(), 1);
}
