//! A seam for tests: a disk that does not finish its syncs.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Keeps the log's writer waiting before each sync for as long as it is held. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Stall(Arc<(Mutex<bool>, Condvar)>);

impl Stall {
    /// From now on no sync is finished.
    pub fn hold(&self) {
        *self.0.0.lock() = true;
    }

    /// Syncs go on.
    pub fn release(&self) {
        *self.0.0.lock() = false;
        self.0.1.notify_all();
    }

    /// Returns when it is not held.
    pub(crate) fn pass(&self) {
        let mut held = self.0.0.lock();
        while *held {
            self.0.1.wait(&mut held);
        }
    }
}
