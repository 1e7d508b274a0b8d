//! What was acknowledged of the list of members is there: who was added is listed, who was removed never again, and who was
//! promoted votes. Nobody is told to be removed unless somebody asked for it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::Violations;
use crate::cluster::Listed;

/// All changes.
pub struct Members {
    known: Mutex<Known>,
    violations: Violations,
}

/// What was acknowledged at one moment.
#[derive(Clone, Debug, Default)]
pub struct Known {
    added: BTreeSet<u64>,
    promoted: BTreeSet<u64>,
    removed: BTreeSet<u64>,
    /// Their removal was asked for: they may be removed.
    leaving: BTreeSet<u64>,
}

impl Members {
    pub(super) fn new(violations: Violations) -> Self {
        Self { known: Mutex::default(), violations }
    }

    /// What a read that begins now must show.
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// It is a member.
    pub fn added(&self, id: u64) {
        self.known.lock().added.insert(id);
    }

    /// It has a vote.
    pub fn promoted(&self, id: u64) {
        self.known.lock().promoted.insert(id);
    }

    /// Its removal is about to be asked for.
    pub fn leaving(&self, id: u64) {
        self.known.lock().leaving.insert(id);
    }

    /// It is none any more.
    pub fn removed(&self, id: u64) {
        self.known.lock().removed.insert(id);
    }

    /// Whether it surely is none any more.
    pub fn was_removed(&self, id: u64) -> bool {
        self.known.lock().removed.contains(&id)
    }

    /// Whether it may be none any more.
    pub fn may_be_removed(&self, id: u64) -> bool {
        self.known.lock().leaving.contains(&id)
    }

    /// A linearizable read of the list that began when this was `known`.
    pub fn listed(&self, known: &Known, listed: &[Listed]) {
        let leaving = self.known.lock().leaving.clone();
        let of = |id: &u64| listed.iter().find(|member| member.id == *id);
        let missing = known.added.difference(&leaving).find(|id| of(id).is_none());
        let back = known.removed.iter().find(|id| of(id).is_some());
        let mute = known.promoted.iter().find(|id| of(id).is_some_and(|member| member.learner));
        for (id, what) in [(missing, "was added"), (back, "was removed"), (mute, "was promoted")] {
            if let Some(id) = id {
                self.violations.tell("members", format!("{id:016x} {what}, but these are listed: {listed:x?}"));
            }
        }
    }
}
