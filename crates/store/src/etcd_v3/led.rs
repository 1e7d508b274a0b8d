//! Whether a leader answers, for clients that rather want to be refused than to wait.
//!
//! The name of the last leader is not enough: a leader that lost its quorum keeps it, and so does a follower that lost its
//! leader and is alone. So a leader is asked for its read index now and then, which it only has while a quorum follows it.

use std::time::Duration;

use keelson_types::Leadership;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Handle;

/// Between two questions that were answered. Failed ones are repeated sooner, since clients wait for the leader.
const INTERVAL: Duration = Duration::from_millis(300);
const INTERVAL_WITHOUT: Duration = Duration::from_millis(50);

/// Keeps `led` true while a leader answers within `patience`. Runs until `shutdown`.
pub(super) async fn follow(handle: Handle, patience: Duration, led: watch::Sender<bool>, shutdown: CancellationToken) {
    let mut leadership = handle.leadership();
    loop {
        let answered = if known(&leadership) {
            matches!(tokio::time::timeout(patience, handle.read_barrier()).await, Ok(Ok(_)))
        } else {
            false
        };
        led.send_if_modified(|last| std::mem::replace(last, answered) != answered);
        let interval = if answered { INTERVAL } else { INTERVAL_WITHOUT };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
            // Another leader is asked at once.
            changed = leadership.changed() => if changed.is_err() {
                led.send_replace(false);
                return;
            },
        }
    }
}

fn known(leadership: &watch::Receiver<Leadership>) -> bool {
    leadership.borrow().leader_id.is_some()
}

/// Completes when no leader answered for longer than `tolerance`.
pub(super) async fn lost(mut led: watch::Receiver<bool>, tolerance: Duration) {
    // An error of a wait means that the store is gone, and with it any leader.
    while led.wait_for(|led| !led).await.is_ok() {
        let back = led.wait_for(|led| *led);
        if !matches!(tokio::time::timeout(tolerance, back).await, Ok(Ok(_))) {
            return;
        }
    }
}
