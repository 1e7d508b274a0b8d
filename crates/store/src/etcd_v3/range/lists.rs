//! The bound of what all lists together hold in memory while they are sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FIRST_BYTES;
use crate::Error;
use crate::etcd_v3::front::Limits;

/// Memory is counted in units of this, so that any budget fits into a semaphore.
const UNIT_BYTES: usize = 1 << 10;
/// What one unary answer holds before it is read in pieces instead. A list of some thousand objects is read once only.
const HOLD_BYTES: usize = 8 << 20;
/// So many large answers find room at once, however small the budget.
const HOLDERS_MIN: usize = 4;
/// Parts of one streamed answer in memory at once: being read, waiting, and being sent.
pub(super) const PARTS_HELD: usize = 3;

/// The budget of all lists. Cheap to clone.
#[derive(Clone)]
pub(in crate::etcd_v3) struct Lists {
    free: Arc<Semaphore>,
    wait: Duration,
    hold_bytes: usize,
    part_bytes: usize,
    /// How long a client may leave what was read for it untaken.
    pub(super) stall: Duration,
}

/// A part of the budget, given back when dropped.
pub(super) struct Share(OwnedSemaphorePermit);

impl Lists {
    pub(in crate::etcd_v3) fn new(limits: &Limits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(units(limits.lists_bytes_max) as usize)),
            wait: limits.list_wait,
            hold_bytes: HOLD_BYTES.min(limits.lists_bytes_max / HOLDERS_MIN),
            part_bytes: limits.request_bytes_max.min(limits.lists_bytes_max / HOLDERS_MIN / PARTS_HELD),
            stall: limits.list_stall,
        }
    }

    /// The most that one unary answer holds.
    pub(super) fn hold_bytes(&self) -> usize {
        self.hold_bytes
    }

    /// The most that one part of a streamed answer holds.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes.max(FIRST_BYTES)
    }

    /// Waits, not for long, until so much may be held.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`] when the others do not give it back in time.
    pub(super) async fn take(&self, bytes: usize) -> Result<Share, Error> {
        let taken = Arc::clone(&self.free).acquire_many_owned(units(bytes));
        match tokio::time::timeout(self.wait, taken).await {
            Ok(Ok(permit)) => Ok(Share(permit)),
            Ok(Err(_)) | Err(_) => Err(Error::TooManyRequests),
        }
    }
}

impl Share {
    /// Gives back what is more than `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(surplus));
    }

    pub(super) fn merge(&mut self, other: Share) {
        self.0.merge(other.0);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_spent_budget_refuses_after_a_bounded_wait_and_serves_again_once_it_is_given_back() {
        let limits = Limits { lists_bytes_max: 8 << 20, list_wait: Duration::from_millis(20), ..Limits::default() };
        let lists = Lists::new(&limits);
        let mut all = lists.take(8 << 20).await.expect("the whole budget");
        let begin = std::time::Instant::now();
        assert!(matches!(lists.take(1).await, Err(Error::TooManyRequests)));
        assert!(begin.elapsed() >= limits.list_wait);
        all.shrink(5 << 20);
        let three = lists.take(3 << 20).await.expect("what was given back");
        assert!(matches!(lists.take(1).await, Err(Error::TooManyRequests)));
        drop((all, three));
        lists.take(8 << 20).await.expect("all of it again");
        assert!(matches!(lists.take(9 << 20).await, Err(Error::TooManyRequests)), "more than there is");
    }
}
