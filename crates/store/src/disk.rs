//! Free space under the data folder. A store that runs into a full disk stops in the middle of a write; this one refuses
//! new data before.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often the file system is asked. At full speed the store writes a fraction of the reserve in that time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether there is room for more data.
#[derive(Clone)]
pub(crate) struct Disk {
    full: Arc<AtomicBool>,
    room_bytes: Arc<AtomicU64>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { full: Arc::default(), room_bytes: Arc::default() }
    }

    /// Whether less than the configured minimum is free.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// How much may still be written before the minimum is reached, when it was last looked at.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.room_bytes.load(Ordering::Relaxed)
    }

    /// Looks at the file system of `folder` for ever.
    pub(crate) async fn watch(self, folder: PathBuf, free_bytes_min: u64) {
        loop {
            match rustix::fs::statvfs(&folder) {
                Ok(found) => {
                    let free = found.f_bavail.saturating_mul(found.f_frsize);
                    self.room_bytes.store(free.saturating_sub(free_bytes_min), Ordering::Relaxed);
                    let full = free < free_bytes_min;
                    if self.full.swap(full, Ordering::Relaxed) != full {
                        if full {
                            tracing::error!(free, minimum = free_bytes_min, "the disk is full");
                        } else {
                            tracing::info!(free, "the disk has room again");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot ask how much disk is free"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
