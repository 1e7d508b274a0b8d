//! When members compare what they hold.

use std::time::Duration;

/// All of it is off at first, as in etcd: it costs each member a read of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Compare what is in the data folder with what the other members hold, before this member takes part.
    pub at_start: bool,
    /// How often all members are compared at the newest revision; zero for never. A comparison that takes longer puts the next
    /// one off for as long.
    pub interval: Duration,
    /// Compare all members at the revisions up to which they compact.
    pub after_compactions: bool,
    /// How often the leader looks whether there was a compaction. Above zero.
    pub compaction_interval: Duration,
}

impl Options {
    /// Whether members are compared while they run.
    pub(crate) fn compares_later(&self) -> bool {
        self.after_compactions || !self.interval.is_zero()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            at_start: false,
            interval: Duration::ZERO,
            after_compactions: false,
            compaction_interval: Duration::from_secs(60),
        }
    }
}
