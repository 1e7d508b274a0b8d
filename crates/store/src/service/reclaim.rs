//! Compactions that a client asked to be physical: the space is given back at once, on every member, and whoever asked
//! waits for that on the member that was asked.
//!
//! One such pass at a time; compactions that come meanwhile are done together by the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::Error;
use crate::machine;
use crate::member::{Member, Shared};

/// How far the space of what was compacted was given back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reclaimed {
    revision: i64,
    /// The last pass ended by an error.
    failed: bool,
}

/// Runs until the member stops.
pub(super) async fn run(member: Shared, reclaimed: watch::Sender<Reclaimed>) {
    let mut wanted = member.reader.wants_reclaimed();
    let mut done = 0;
    loop {
        let Ok(revision) = wanted.wait_for(|revision| *revision > done).await.map(|revision| *revision) else {
            return std::future::pending().await;
        };
        done = revision;
        let failed = pass(&member, revision).await;
        reclaimed.send_replace(Reclaimed { revision, failed });
    }
}

/// Whether it failed.
async fn pass(member: &Member, revision: i64) -> bool {
    let begun = machine::now();
    let reader = member.reader.clone();
    let dropped = Arc::new(AtomicBool::new(false));
    let _stop = StopWhenDropped(Arc::clone(&dropped));
    let work = move || reader.reclaim(|| !dropped.load(Ordering::Relaxed));
    let outcome = machine::spawn_blocking(work).await;
    let seconds = (machine::now() - begun).as_secs_f64();
    match outcome {
        Ok(Ok(())) => tracing::debug!(revision, seconds, "the space of what was compacted is given back"),
        Ok(Err(ref error)) => tracing::warn!(%error, revision, "the space of what was compacted cannot be given back"),
        Err(ref error) => tracing::error!(%error, revision, "giving space back panicked"),
    }
    !matches!(outcome, Ok(Ok(())))
}

/// Tells the pass under way to end with what it is at.
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Member {
    /// Waits until this member has given back the space of what was compacted at `revision`. It goes on with that when nobody
    /// waits any more.
    ///
    /// # Errors
    /// [`Error::Stopped`]; [`Error::Internal`] when the disk does not do it.
    pub(crate) async fn wait_reclaimed(&self, revision: i64) -> Result<(), Error> {
        self.reader.want_reclaimed(revision);
        let mut reclaimed = self.reclaimed.clone();
        let now = *reclaimed.wait_for(|now| now.revision >= revision).await.map_err(|_| Error::Stopped)?;
        if now.failed {
            return Err(Error::Internal(
                "compacted, but the space could not be given back: see the member's log".into(),
            ));
        }
        Ok(())
    }
}
