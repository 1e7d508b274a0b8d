//! Compactions that a client asked to be physical: the space is given back at once, on every member, and whoever asked
//! waits for that on the member that was asked.
//!
//! One such pass at a time; compactions that come meanwhile are done together by the next one.

use tokio::sync::watch;

use crate::Error;
use crate::machine;
use crate::member::{Member, Shared};
use crate::state::Pass;

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
    let outcome = rewrite(member).await;
    let seconds = (machine::now() - begun).as_secs_f64();
    match &outcome {
        Ok(()) => tracing::debug!(revision, seconds, "the space of what was compacted is given back"),
        Err(error) => tracing::warn!(%error, revision, "the space of what was compacted cannot be given back"),
    }
    outcome.is_err()
}

/// Takes at most half of one processor's time, so that clients notice little of it: after each step, a pause as long as that.
async fn rewrite(member: &Member) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut pass = Pass::default();
    loop {
        let begun = machine::now();
        let reader = member.reader.clone();
        pass = machine::spawn_blocking(move || reader.reclaim(&mut pass).map(|()| pass)).await??;
        if pass.is_over() {
            return Ok(());
        }
        tokio::time::sleep(machine::now() - begun).await;
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
