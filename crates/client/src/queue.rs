//! A queue of keys for level-triggered workers, with the semantics of client-go's work queue.
//!
//! A key says that something about an object must be looked at, not what. A key that waits is there once however often it
//! is added; a key that a worker has is not given to another until [`WorkQueue::done`], and one added in between comes
//! again after it. Failed keys come back with exponential back-off.

mod core;

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::core::{Core, Next};
use crate::backoff::Backoff;

/// client-go's limits for failures of one key.
pub const BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1000));
/// How many keys may wait unless the queue is told otherwise: every object of a large cluster.
pub const CAPACITY: usize = 1_048_576;

/// A queue of keys. Clones share it.
pub struct WorkQueue<Key> {
    shared: Arc<Shared<Key>>,
}

impl<Key> Clone for WorkQueue<Key> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<Key> {
    core: Mutex<Core<Key>>,
    changed: Notify,
}

impl<Key: Clone + Eq + Hash> Default for WorkQueue<Key> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Key: Clone + Eq + Hash> WorkQueue<Key> {
    pub fn new() -> Self {
        Self::with_limits(CAPACITY, BACKOFF)
    }

    /// A queue of at most `capacity` waiting keys, whose failed keys wait as `backoff` says.
    pub fn with_limits(capacity: usize, backoff: Backoff) -> Self {
        Self { shared: Arc::new(Shared { core: Mutex::new(Core::new(capacity, backoff)), changed: Notify::new() }) }
    }

    /// Adds a key, unless it waits already. False when the queue is full or shut down: the key is not remembered, and
    /// [`WorkQueue::take_overflow`] tells it.
    pub fn add(&self, key: Key) -> bool {
        self.change(|core| core.add(key))
    }

    /// Adds a key after a while; an earlier time wins.
    pub fn add_after(&self, key: Key, delay: Duration) -> bool {
        let at = now() + delay;
        self.change(|core| core.add_at(key, at))
    }

    /// Adds a key after its back-off, which grows with every call until [`WorkQueue::forget`]. Returns the delay.
    pub fn add_rate_limited(&self, key: Key) -> Duration {
        let now = now();
        self.change(|core| {
            let delay = core.fail(&key);
            core.add_at(key, now + delay);
            delay
        })
    }

    /// The key succeeded: its next failure starts at the shortest back-off.
    pub fn forget(&self, key: &Key) {
        self.shared.core.lock().forget(key);
    }

    /// How often the key failed since it was forgotten.
    pub fn failures(&self, key: &Key) -> u32 {
        self.shared.core.lock().failures(key)
    }

    /// The next key; absent when the queue is shut down and empty. Call [`WorkQueue::done`] when it is worked off. Dropping
    /// the future loses nothing.
    pub async fn next(&self) -> Option<Key> {
        loop {
            let changed = self.shared.changed.notified();
            let wait = {
                let mut core = self.shared.core.lock();
                match core.next(now()) {
                    Next::Key(key) => {
                        let more = core.has_more();
                        drop(core);
                        // One signal may stand for several keys: pass it on.
                        if more {
                            self.shared.changed.notify_one();
                        }
                        return Some(key);
                    }
                    Next::Closed => {
                        drop(core);
                        self.shared.changed.notify_one();
                        return None;
                    }
                    Next::Wait(until) => until,
                }
            };
            match wait {
                Some(until) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(until.into()) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// The worker is finished with the key; if it was added meanwhile it waits again.
    pub fn done(&self, key: &Key) {
        self.change(|core| core.done(key));
    }

    /// Whether keys were refused because the queue was full, since the last call: then list everything again.
    pub fn take_overflow(&self) -> bool {
        self.shared.core.lock().take_overflow()
    }

    /// How many keys wait, delayed ones not counted.
    pub fn len(&self) -> usize {
        self.shared.core.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops every waiting, delayed and remembered key, as a loop does that no longer leads. Keys that workers have stay
    /// theirs until done.
    pub fn clear(&self) {
        self.shared.core.lock().clear();
    }

    /// Takes no more keys; workers get what is ready, then nothing.
    pub fn shut_down(&self) {
        self.change(Core::shut_down);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Core<Key>) -> T) -> T {
        let result = change(&mut self.shared.core.lock());
        self.shared.changed.notify_one();
        result
    }
}

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_comes_when_it_is_due() {
        let queue = WorkQueue::new();
        let started = tokio::time::Instant::now();
        queue.add_after("late", Duration::from_millis(60));
        queue.add_after("early", Duration::from_millis(20));
        assert_eq!(queue.next().await, Some("early"));
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert_eq!(queue.next().await, Some("late"));
        assert!(started.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn an_earlier_key_wakes_a_worker_that_waits_for_a_later_one() {
        let queue = WorkQueue::new();
        queue.add_after(1, Duration::from_secs(3600));
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(2);
        assert_eq!(worker.await.expect("the worker ends"), Some(2));
    }

    #[tokio::test]
    async fn failures_back_off_until_forgotten() {
        let queue = WorkQueue::new();
        let delays: Vec<u128> = (0..4).map(|_| queue.add_rate_limited("a").as_millis()).collect();
        assert_eq!(delays, [5, 10, 20, 40]);
        assert_eq!(queue.failures(&"a"), 4);
        queue.forget(&"a");
        assert_eq!(queue.add_rate_limited("a").as_millis(), 5);
    }

    #[tokio::test]
    async fn every_worker_gets_work_and_then_the_end() {
        let queue = WorkQueue::new();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    while let Some(key) = queue.next().await {
                        tokio::task::yield_now().await;
                        queue.done(&key);
                        taken.push(key);
                    }
                    taken
                })
            })
            .collect();
        for key in 0..1000 {
            queue.add(key);
        }
        queue.shut_down();
        let mut taken = Vec::new();
        for worker in workers {
            taken.extend(worker.await.expect("the worker ends"));
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }
}
