//! The queue's rules, as plain values. Time comes in as an argument.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// What a worker gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<Key> {
    Key(Key),
    /// Nothing is ready before this time, if any.
    Wait(Option<Instant>),
    /// Shut down and empty.
    Closed,
}

/// **Invariant.** A key is in `ready` exactly when it is in `dirty` and not in `processing`.
pub(super) struct Core<Key> {
    ready: VecDeque<Key>,
    /// What must be looked at.
    dirty: HashSet<Key>,
    /// What workers have.
    processing: HashSet<Key>,
    /// By due time; the number keeps keys of one time apart.
    delayed: BTreeMap<(Instant, u64), Key>,
    due: HashMap<Key, (Instant, u64)>,
    next_delayed: u64,
    failures: HashMap<Key, u32>,
    capacity: usize,
    backoff: Backoff,
    overflow: bool,
    closed: bool,
}

impl<Key: Clone + Eq + Hash> Core<Key> {
    pub fn new(capacity: usize, backoff: Backoff) -> Self {
        Self {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            processing: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            next_delayed: 0,
            failures: HashMap::new(),
            capacity,
            backoff,
            overflow: false,
            closed: false,
        }
    }

    pub fn add(&mut self, key: Key) -> bool {
        if self.closed {
            return false;
        }
        if self.dirty.contains(&key) {
            return true;
        }
        if self.dirty.len() >= self.capacity {
            self.overflow = true;
            return false;
        }
        self.mark(key);
        true
    }

    fn mark(&mut self, key: Key) {
        if self.dirty.insert(key.clone()) && !self.processing.contains(&key) {
            self.ready.push_back(key);
        }
    }

    pub fn add_at(&mut self, key: Key, at: Instant) -> bool {
        if self.closed {
            return false;
        }
        match self.due.get(&key) {
            Some(&(due, _)) if due <= at => return true,
            Some(&position) => {
                self.delayed.remove(&position);
            }
            None if self.delayed.len() >= self.capacity => {
                self.overflow = true;
                return false;
            }
            None => {}
        }
        let position = (at, self.next_delayed);
        self.next_delayed += 1;
        self.due.insert(key.clone(), position);
        self.delayed.insert(position, key);
        true
    }

    pub fn next(&mut self, now: Instant) -> Next<Key> {
        while let Some(entry) = self.delayed.first_entry() {
            // A due key stays delayed while the queue is full: workers make room, and it is not lost.
            if entry.key().0 > now || (self.dirty.len() >= self.capacity && !self.dirty.contains(entry.get())) {
                break;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.mark(key);
        }
        match self.ready.pop_front() {
            Some(key) => {
                self.dirty.remove(&key);
                self.processing.insert(key.clone());
                Next::Key(key)
            }
            None if self.closed => Next::Closed,
            None => Next::Wait(self.delayed.first_key_value().map(|((at, _), _)| *at)),
        }
    }

    /// Whether another worker should look: something is ready or has a time.
    pub fn has_more(&self) -> bool {
        self.closed || !self.ready.is_empty() || !self.delayed.is_empty()
    }

    pub fn done(&mut self, key: &Key) {
        if self.processing.remove(key) && self.dirty.contains(key) {
            self.ready.push_back(key.clone());
        }
    }

    /// Counts a failure and returns how long the key shall wait.
    pub fn fail(&mut self, key: &Key) -> Duration {
        let failures = self.failures.get(key).copied().unwrap_or_default();
        // Beyond the capacity a key is not counted: it is tried again soon rather than memory growing.
        if failures > 0 || self.failures.len() < self.capacity {
            self.failures.insert(key.clone(), failures.saturating_add(1));
        }
        self.backoff.exact(failures)
    }

    pub fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
    }

    pub fn failures(&self, key: &Key) -> u32 {
        self.failures.get(key).copied().unwrap_or_default()
    }

    pub fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflow)
    }

    pub fn len(&self) -> usize {
        self.ready.len()
    }

    pub fn clear(&mut self) {
        self.ready.clear();
        self.dirty.clear();
        self.delayed.clear();
        self.due.clear();
        self.failures.clear();
        self.overflow = false;
    }

    pub fn shut_down(&mut self) {
        self.closed = true;
        self.delayed.clear();
        self.due.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1000));

    fn core() -> Core<u8> {
        Core::new(100, BACKOFF)
    }

    #[test]
    fn a_waiting_key_is_there_once() {
        let (mut core, now) = (core(), Instant::now());
        assert!(core.add(1) && core.add(2) && core.add(1));
        assert_eq!(core.next(now), Next::Key(1));
        assert_eq!(core.next(now), Next::Key(2));
        assert_eq!(core.next(now), Next::Wait(None));
    }

    #[test]
    fn a_key_added_while_a_worker_has_it_comes_after_done() {
        let (mut core, now) = (core(), Instant::now());
        core.add(1);
        assert_eq!(core.next(now), Next::Key(1));
        core.add(1);
        assert_eq!(core.next(now), Next::Wait(None));
        core.done(&1);
        assert_eq!(core.next(now), Next::Key(1));
        core.done(&1);
        assert_eq!(core.next(now), Next::Wait(None));
    }

    #[test]
    fn the_earlier_of_two_delays_wins() {
        let (mut core, now) = (core(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        core.add_at(1, at(10));
        core.add_at(1, at(5));
        core.add_at(1, at(20));
        assert_eq!(core.next(now), Next::Wait(Some(at(5))));
        assert_eq!(core.next(at(5)), Next::Key(1));
        core.done(&1);
        assert_eq!(core.next(at(30)), Next::Wait(None));
    }

    #[test]
    fn a_full_queue_says_so_and_keeps_what_it_has() {
        let mut core = Core::new(2, BACKOFF);
        let now = Instant::now();
        assert!(core.add(1) && core.add(2));
        assert!(!core.add(3));
        assert!(core.add(1), "a key that waits already needs no room");
        assert!(core.take_overflow() && !core.take_overflow());
        core.add_at(4, now);
        assert_eq!(core.next(now), Next::Key(1));
        assert_eq!(core.next(now), Next::Key(2));
        assert_eq!(core.next(now), Next::Key(4));
    }

    #[test]
    fn after_shut_down_what_is_ready_is_still_handed_out() {
        let (mut core, now) = (core(), Instant::now());
        core.add(1);
        core.add_at(2, now + Duration::from_secs(1));
        core.shut_down();
        assert!(!core.add(3));
        assert_eq!(core.next(now), Next::Key(1));
        assert_eq!(core.next(now), Next::Closed);
    }

    #[test]
    fn clear_leaves_workers_their_keys() {
        let (mut core, now) = (core(), Instant::now());
        core.add(1);
        core.add(2);
        assert_eq!(core.next(now), Next::Key(1));
        core.clear();
        core.add(1);
        assert_eq!(core.next(now), Next::Wait(None), "a worker still has 1");
        core.done(&1);
        assert_eq!(core.next(now), Next::Key(1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8),
        AddAt(u8, u64),
        Next(u64),
        Done(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..8_u8).prop_map(Step::Add),
            (0..8_u8, 0..50_u64).prop_map(|(key, at)| Step::AddAt(key, at)),
            (0..50_u64).prop_map(Step::Next),
            (0..8_u8).prop_map(Step::Done),
        ]
    }

    proptest! {
        #[test]
        fn no_key_is_with_two_workers_and_none_that_was_added_is_lost(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let start = Instant::now();
            let mut core = core();
            let mut held = HashSet::new();
            let mut owed = HashSet::new();
            for step in steps {
                match step {
                    Step::Add(key) => { core.add(key); owed.insert(key); }
                    Step::AddAt(key, at) => { core.add_at(key, start + Duration::from_secs(at)); owed.insert(key); }
                    Step::Next(at) => if let Next::Key(key) = core.next(start + Duration::from_secs(at)) {
                        prop_assert!(held.insert(key), "{key} is with two workers");
                        // A delayed add of the same key may still be owed; the end checks that nothing else is.
                        if !core.due.contains_key(&key) { owed.remove(&key); }
                    },
                    Step::Done(key) => { core.done(&key); held.remove(&key); }
                }
            }
            for key in held.drain() { core.done(&key); }
            let end = start + Duration::from_secs(100);
            while let Next::Key(key) = core.next(end) { owed.remove(&key); core.done(&key); }
            prop_assert!(owed.is_empty(), "lost: {owed:?}");
            prop_assert!(core.dirty.is_empty() && core.processing.is_empty() && core.due.is_empty());
        }
    }
}
