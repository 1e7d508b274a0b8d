//! Watchers are handed every revision once, whole, in order, and the same as all others.
//!
//! All watch everything. What any of them was handed is the truth; whoever has passed a revision of it without being handed
//! it has missed it. So has everybody when an acknowledged revision was passed and is not part of the truth.

use std::collections::{BTreeMap, BTreeSet};

use keelson_proto::mvccpb::Event;
use keelson_store::watch::Item;
use parking_lot::Mutex;

use super::Violations;

/// What watchers were handed.
pub struct Watches {
    state: Mutex<State>,
    violations: Violations,
}

#[derive(Default)]
struct State {
    truth: BTreeMap<i64, Vec<Event>>,
    /// Which revisions each watcher was handed everything of: those after the first number, up to the second.
    passed: BTreeMap<usize, (i64, i64)>,
    /// Acknowledged revisions that nobody was handed yet.
    expected: BTreeSet<i64>,
}

impl State {
    fn passed_by(&self, revision: i64) -> Option<usize> {
        let passed = self.passed.iter().find(|(_, (after, upto))| (after + 1..=*upto).contains(&revision));
        passed.map(|(watcher, _)| *watcher)
    }

    /// What is known of the revisions that a watcher passes without being handed them.
    fn missed(&self, after: i64, before: i64) -> Option<i64> {
        if after + 1 >= before {
            return None;
        }
        let truth = self.truth.range(after + 1..before).next().map(|(revision, _)| *revision);
        truth.or_else(|| self.expected.range(after + 1..before).next().copied())
    }
}

impl Watches {
    pub(super) fn new(violations: Violations) -> Self {
        Self { state: Mutex::default(), violations }
    }

    /// The revision that a watcher is to go on from: 1 at first.
    pub fn next(&self, watcher: usize) -> i64 {
        self.state.lock().passed.entry(watcher).or_insert((0, 0)).1 + 1
    }

    /// A write was acknowledged.
    pub fn acknowledged(&self, revision: i64) {
        let mut state = self.state.lock();
        if state.truth.contains_key(&revision) {
            return;
        }
        if let Some(watcher) = state.passed_by(revision) {
            let what = format!("watcher {watcher} passed the acknowledged revision {revision} without its events");
            self.violations.tell("watches", what);
        }
        state.expected.insert(revision);
    }

    /// A watcher was handed an item.
    pub fn handed(&self, watcher: usize, item: Item) {
        let mut state = self.state.lock();
        let (first, last) = state.passed.get(&watcher).copied().unwrap_or((0, 0));
        let passed = match &item {
            Item::Events { revision, .. } if *revision <= last => {
                let what = format!("watcher {watcher} was handed revision {revision} after {last}");
                return self.violations.tell("watches", what);
            }
            Item::Events { revision, events } => {
                if events.is_empty() {
                    self.violations.tell("watches", format!("watcher {watcher} was handed nothing of {revision}"));
                }
                if let Some(missed) = state.missed(last, *revision) {
                    let what = format!("watcher {watcher} was handed {revision} after {last}, but not {missed}");
                    return self.violations.tell("watches", what);
                }
                match state.truth.get(revision) {
                    Some(known) if known != events => {
                        let what = format!("watcher {watcher} was handed {events:?}, and another {known:?}");
                        return self.violations.tell("watches", what);
                    }
                    Some(_) => {}
                    None => {
                        if let Some(other) = state.passed_by(*revision) {
                            let what =
                                format!("watcher {other} passed {revision}, of which {watcher} was handed events");
                            return self.violations.tell("watches", what);
                        }
                        state.truth.insert(*revision, events.clone());
                        state.expected.remove(revision);
                    }
                }
                (first, *revision)
            }
            Item::Progress { revision } => {
                if let Some(missed) = state.missed(last, revision + 1) {
                    let what = format!("watcher {watcher} was told of progress to {revision}, but not handed {missed}");
                    return self.violations.tell("watches", what);
                }
                (first, last.max(*revision))
            }
            // It begins anew where history begins.
            Item::Compacted { compact_revision } => {
                if *compact_revision <= last + 1 {
                    let what = format!("watcher {watcher}, at {last}, was told that {compact_revision} is compacted");
                    return self.violations.tell("watches", what);
                }
                (compact_revision - 1, compact_revision - 1)
            }
        };
        state.passed.insert(watcher, passed);
    }

    /// The newest revision that anybody was handed.
    pub fn newest(&self) -> i64 {
        self.state.lock().truth.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    /// The oldest position of all watchers.
    pub fn slowest(&self) -> i64 {
        self.state.lock().passed.values().map(|(_, last)| *last).min().unwrap_or(i64::MAX)
    }
}
