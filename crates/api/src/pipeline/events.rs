//! How long Events live: an hour, by leases of the store that many Events share.

use std::time::Duration;

use keelson_proto::etcdserverpb::LeaseGrantRequest;
use keelson_store::{Error, Handle};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an Event lives at least.
const TTL: Duration = Duration::from_secs(3600);
/// How long one lease is given to new Events: at most 61 leases live at once, whatever the number of Events.
const SHARED: Duration = Duration::from_secs(60);

/// The lease that new Events get now.
#[derive(Debug, Default)]
pub struct EventLeases {
    current: Mutex<Option<(Instant, i64)>>,
}

impl EventLeases {
    /// Grants a new one when the last was given out long enough.
    ///
    /// # Errors
    /// The store's.
    pub async fn current(&self, store: &Handle) -> Result<i64, Error> {
        let mut current = self.current.lock().await;
        if let Some((granted, id)) = *current
            && granted.elapsed() < SHARED
        {
            return Ok(id);
        }
        let ttl_seconds = (TTL + SHARED).as_secs() as i64;
        let lease = store.lease_grant(LeaseGrantRequest { ttl: ttl_seconds, id: 0 }).await?;
        *current = Some((Instant::now(), lease.id));
        Ok(lease.id)
    }

    /// The store does not know it any more.
    pub async fn forget(&self, id: i64) {
        let mut current = self.current.lock().await;
        if current.is_some_and(|(_, current)| current == id) {
            *current = None;
        }
    }
}
