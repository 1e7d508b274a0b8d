//! What each controller counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one controller since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Plans made.
    pub plans: u64,
    /// Plans that had something to write and were written.
    pub executed: u64,
    /// Single writes in those.
    pub writes: u64,
    /// Plans refused because something had changed meanwhile.
    pub conflicts: u64,
    /// Plans that failed otherwise.
    pub failures: u64,
}

/// Live counters of one controller.
#[derive(Debug, Default)]
pub struct Metrics {
    plans: AtomicU64,
    executed: AtomicU64,
    writes: AtomicU64,
    conflicts: AtomicU64,
    failures: AtomicU64,
}

impl Metrics {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn planned(&self) {
        self.plans.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn executed(&self, writes: usize) {
        self.executed.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(u64::try_from(writes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn conflicted(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The values now.
    pub fn read(&self) -> Counters {
        Counters {
            plans: self.plans.load(Ordering::Relaxed),
            executed: self.executed.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
