//! Whether the writer waits for the disk, and for how long already.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::options::Stall;

/// The sync that is under way.
pub(super) struct Syncs {
    base: Instant,
    /// Microseconds after `base` when it began, and one more; 0 while there is none.
    begun: AtomicU64,
    stall: OnceLock<Stall>,
}

impl Default for Syncs {
    fn default() -> Self {
        Self { base: Instant::now(), begun: AtomicU64::new(0), stall: OnceLock::new() }
    }
}

impl Syncs {
    /// Lets tests keep the writer waiting.
    pub(super) fn stall_by(&self, stall: Stall) {
        // A second one would be a test's mistake, and is not heard.
        drop(self.stall.set(stall));
    }

    pub(super) fn begin(&self) {
        let micros = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.begun.store(micros + 1, Ordering::Relaxed);
    }

    /// Waits here while a test wants it.
    pub(super) fn pass(&self) {
        if let Some(stall) = self.stall.get() {
            stall.pass();
        }
    }

    pub(super) fn end(&self) {
        self.begun.store(0, Ordering::Relaxed);
    }

    /// How long the sync that is under way has taken.
    pub(super) fn outstanding(&self) -> Option<Duration> {
        let begun = self.begun.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.base.elapsed().saturating_sub(Duration::from_micros(begun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sync_under_way_is_outstanding() {
        let syncs = Syncs::default();
        assert_eq!(syncs.outstanding(), None);
        syncs.begin();
        assert!(syncs.outstanding().is_some());
        syncs.end();
        assert_eq!(syncs.outstanding(), None);
    }
}
