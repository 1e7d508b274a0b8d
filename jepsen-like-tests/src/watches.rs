//! Did a watch deliver what etcd promises? Judged against the final history of all revisions.
//!
//! The promises, as etcd's documentation names them: **ordered** (by revision), **unique** (no event twice), **reliable**
//! (none missing), **atomic** (all events of a revision together), **resumable** (also across a reconnect), **bookmarkable**
//! (a progress report means that everything up to its revision was delivered).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// The revision that made it.
    pub revision: i64,
    /// The key.
    pub key: String,
    /// What was written; `None` for a deletion.
    pub value: Option<String>,
}

/// What was asked of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The first key.
    pub key: String,
    /// As in etcd: empty for the one key, `"\0"` for everything from `key` on.
    pub range_end: String,
    /// The first revision. A watch from "now" states the revision after the one that its `created` response named.
    pub start_revision: i64,
    /// Writes are left out.
    pub no_put: bool,
    /// Deletions are left out.
    pub no_delete: bool,
}

/// What a watch delivered, in order. Reconnects are invisible here: whoever records a watch appends what it got after it
/// resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivered {
    /// One response with events (fragments joined).
    Changes(Vec<Change>),
    /// A progress report.
    Progress {
        /// Everything up to here was delivered.
        revision: i64,
    },
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A change came after one of a later revision.
    OutOfOrder {
        /// The revision that came before.
        after: i64,
        /// The change.
        change: Change,
    },
    /// A change came twice.
    Twice(Change),
    /// A change that never happened, or that happened otherwise.
    NeverHappened(Change),
    /// A change that was not asked for: another key, another kind, or before the start.
    NotAskedFor(Change),
    /// The changes of one revision came in more than one response.
    Torn {
        /// The revision.
        revision: i64,
    },
    /// A change was not delivered although a later one was, or although the watch had got that far.
    Missing(Change),
    /// A change came after a progress report said that it had been delivered.
    AfterProgress {
        /// What was reported.
        reported: i64,
        /// The change.
        change: Change,
    },
    /// A progress report went back.
    ProgressWentBack {
        /// What was reported before.
        from: i64,
        /// What was reported then.
        to: i64,
    },
}

/// Judges one watch. `changes` is the whole final history in order, and `reached` the revision up to which the watch was
/// waited for: everything up to there must have been delivered.
pub fn check(changes: &[Change], asked: &Asked, delivered: &[Delivered], reached: i64) -> Vec<Violation> {
    let happened: BTreeSet<&Change> = changes.iter().collect();
    let mut judge = Judge { asked, happened, seen: BTreeMap::new(), last: 0, progress: 0, violations: Vec::new() };
    for (response, item) in delivered.iter().enumerate() {
        match item {
            Delivered::Changes(changes) => changes.iter().for_each(|change| judge.change(response, change)),
            Delivered::Progress { revision } => judge.report(*revision),
        }
    }
    // Everything up to the last thing that the watch said must be there, even if nobody waited for it.
    let reached = reached.max(judge.last).max(judge.progress);
    for change in changes.iter().filter(|change| change.revision <= reached && asked.wants(change)) {
        if !judge.seen.contains_key(&(change.revision, &change.key)) {
            judge.violations.push(Violation::Missing(change.clone()));
        }
    }
    judge.violations
}

struct Judge<'a> {
    asked: &'a Asked,
    happened: BTreeSet<&'a Change>,
    /// Each change seen, and in which response it came.
    seen: BTreeMap<(i64, &'a str), usize>,
    last: i64,
    progress: i64,
    violations: Vec<Violation>,
}

impl<'a> Judge<'a> {
    fn change(&mut self, response: usize, change: &'a Change) {
        if !self.happened.contains(change) {
            self.violations.push(Violation::NeverHappened(change.clone()));
        } else if !self.asked.wants(change) {
            self.violations.push(Violation::NotAskedFor(change.clone()));
        }
        if self.seen.contains_key(&(change.revision, change.key.as_str())) {
            self.violations.push(Violation::Twice(change.clone()));
            return;
        }
        if change.revision < self.last {
            self.violations.push(Violation::OutOfOrder { after: self.last, change: change.clone() });
        }
        if change.revision <= self.progress {
            self.violations.push(Violation::AfterProgress { reported: self.progress, change: change.clone() });
        }
        let same = (change.revision, "")..(change.revision + 1, "");
        if self.seen.range(same).any(|(_, earlier)| *earlier != response) {
            let torn = Violation::Torn { revision: change.revision };
            if self.violations.last() != Some(&torn) {
                self.violations.push(torn);
            }
        }
        self.seen.insert((change.revision, &change.key), response);
        self.last = self.last.max(change.revision);
    }

    fn report(&mut self, revision: i64) {
        if revision < self.progress {
            self.violations.push(Violation::ProgressWentBack { from: self.progress, to: revision });
        }
        self.progress = self.progress.max(revision);
    }
}

impl Asked {
    fn wants(&self, change: &Change) -> bool {
        let key = change.key.as_str();
        let in_range = match self.range_end.as_str() {
            "" => key == self.key,
            "\0" => key >= self.key.as_str(),
            end => key >= self.key.as_str() && key < end,
        };
        let of_kind = if change.value.is_some() { !self.no_put } else { !self.no_delete };
        in_range && of_kind && change.revision >= self.start_revision
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value:?} at revision {}", self.key, self.revision),
            None => write!(f, "{} deleted at revision {}", self.key, self.revision),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { after, change } => write!(f, "not ordered: {change} came after revision {after}"),
            Self::Twice(change) => write!(f, "not unique: {change} came twice"),
            Self::NeverHappened(change) => write!(f, "phantom: {change} never happened"),
            Self::NotAskedFor(change) => write!(f, "{change} was not asked for"),
            Self::Torn { revision } => write!(f, "not atomic: revision {revision} came in more than one response"),
            Self::Missing(change) => write!(f, "not reliable: {change} is missing"),
            Self::AfterProgress { reported, change } => {
                write!(f, "not bookmarkable: {change} came after progress was reported at {reported}")
            }
            Self::ProgressWentBack { from, to } => write!(f, "progress went back from {from} to {to}"),
        }
    }
}

#[cfg(test)]
mod tests;
