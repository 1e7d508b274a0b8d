//! Faults that no store can survive, to show that the invariants see them.

use std::fmt;
use std::str::FromStr;

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Disks say that a sync is done, and lose the last of them at a crash.
    AckBeforeSync,
    /// Disks say that the log's next segment is synced before it gets its name, and it is not.
    UnsyncedSegment,
    /// Disks do not write again what a sync failed for.
    ForgottenSync,
    /// Watchers lose an event now and then.
    DroppedWatchEvent,
    /// Watchers are handed a revision a second time.
    DoubledWatchEvent,
    /// The clock of leases runs twice as fast.
    EarlyLease,
    /// The clock of leases goes by another member's time of day.
    TrustedClock,
    /// Nobody tells a member that it was removed.
    UntoldRemoval,
    /// Reads that ask for the newest are answered from what a member has.
    StaleRead,
    /// A byte of a value changes on its way to a follower.
    CorruptedAppend,
    /// As [`Self::CorruptedAppend`], with nobody comparing what is applied: whoever sees the value may notice first.
    CorruptedState,
}

impl Mutant {
    /// All, each with the invariants of which one must see it.
    pub const ALL: [(Self, &[&str]); 11] = [
        // A member that misses the entries behind what was purged does not start.
        (Self::AckBeforeSync, &["acknowledged", "linearizable", "log", "start"]),
        (Self::UnsyncedSegment, &["start"]),
        (Self::ForgottenSync, &["acknowledged", "linearizable", "log", "start"]),
        (Self::DroppedWatchEvent, &["watches"]),
        (Self::DoubledWatchEvent, &["watches"]),
        (Self::EarlyLease, &["leases"]),
        (Self::TrustedClock, &["leases"]),
        (Self::UntoldRemoval, &["converge"]),
        (Self::StaleRead, &["linearizable"]),
        // Whoever applies it first may answer a client before another member has applied the same entry.
        (Self::CorruptedAppend, &["linearizable", "log"]),
        (Self::CorruptedState, &["acknowledged", "hash_kv", "linearizable", "watches"]),
    ];
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(mutant, _)| mutant.to_string() == name);
        found.map(|(mutant, _)| *mutant).ok_or_else(|| format!("no mutant is called {name}"))
    }
}
