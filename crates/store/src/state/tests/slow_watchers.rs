//! Watchers that do not read: what they cost, and whom.

use super::*;

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
