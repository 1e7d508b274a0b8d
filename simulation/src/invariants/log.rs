//! What each member has applied is a prefix of one log: the same entry at the same place on all members and for ever.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use parking_lot::Mutex;

use super::Violations;

/// The log, as far as anybody has applied it.
pub struct Log {
    state: Mutex<State>,
    violations: Violations,
    checks: bool,
}

#[derive(Default)]
struct State {
    /// Term and checksum by index.
    entries: BTreeMap<u64, (u64, u64)>,
    /// The last index of each member since its start.
    last: HashMap<usize, u64>,
}

impl Log {
    pub(super) fn new(violations: Violations, checks: bool) -> Self {
        Self { state: Mutex::default(), violations, checks }
    }

    /// A member starts: it may apply again what it had applied but not flushed.
    pub fn restarted(&self, member: usize) {
        self.state.lock().last.remove(&member);
    }

    /// A member applied an entry.
    pub fn applied(&self, member: usize, index: u64, term: u64, entry: &[u8]) {
        if !self.checks {
            return;
        }
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let own = (term, hasher.finish());
        let mut state = self.state.lock();
        let last = state.last.insert(member, index);
        // A snapshot skips entries; nothing goes back.
        if last.is_some_and(|last| index <= last) {
            self.violations.tell("log", format!("member {member} applied {index} after {last:?}"));
        }
        if let Some(known) = state.entries.get(&index) {
            if *known != own {
                let what = format!("member {member} applied {own:?} at {index}, where another applied {known:?}");
                self.violations.tell("log", what);
            }
            return;
        }
        let newest = state.entries.last_key_value().map_or((0, 0), |(index, (term, _))| (*index, *term));
        if (newest.0 + 1, newest.1) > (index, term) || index > newest.0 + 1 {
            let what = format!("member {member} applied {index} of term {term}, the first to do so, after {newest:?}");
            self.violations.tell("log", what);
        }
        state.entries.insert(index, own);
    }

    /// How many entries were applied by anybody.
    pub fn length(&self) -> usize {
        self.state.lock().entries.len()
    }
}
