//! Costly documents, made one at a time by whoever asks first.
//!
//! **Invariant**: what is being made is finished and kept though nobody waits for it any more. A request that is broken off is no way
//! to start the work again beside the one that goes on.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Lets one document be made at a time.
#[derive(Clone)]
pub(super) struct Single(Arc<Semaphore>);

impl Single {
    pub(super) fn new() -> Single {
        Single(Arc::new(Semaphore::new(1)))
    }

    /// What `place` has, or will have once it is made there.
    ///
    /// # Errors
    /// When making it panicked.
    pub(super) async fn get<T: Clone + Send + Sync + 'static>(
        &self,
        place: Arc<OnceLock<T>>,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        if let Some(made) = place.get() {
            return Ok(made.clone());
        }
        // It is never closed; if it were, this would be no reason to fail.
        let turn = self.0.clone().acquire_owned().await;
        let work = move || {
            // It goes with the work, which nobody can break off, not with the one who waits for it.
            let _turn = turn;
            place.get_or_init(make).clone()
        };
        tokio::task::spawn_blocking(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_being_made_for_somebody_who_left_is_not_made_again() {
        let (single, place) = (Single::new(), Arc::new(OnceLock::new()));
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let (finish, finished) = mpsc::channel::<()>();
        let first = {
            let (single, place, started) = (single.clone(), place.clone(), started.clone());
            tokio::spawn(async move {
                let make = move || {
                    started.send("first").expect("is awaited");
                    finished.recv().expect("is told to");
                    "first"
                };
                single.get(place, make).await
            })
        };
        assert_eq!(starts.recv().await, Some("first"));
        first.abort();
        assert!(first.await.expect_err("is broken off").is_cancelled());

        let make = move || {
            started.send("second").expect("is awaited");
            "second"
        };
        let mut second = tokio::spawn({
            let (single, place) = (single.clone(), place.clone());
            async move { single.get(place, make).await }
        });
        // It runs until it can only wait.
        tokio::task::yield_now().await;
        assert!(futures::FutureExt::now_or_never(&mut second).is_none());
        finish.send(()).expect("waits");
        assert_eq!(second.await.expect("ends").expect("is made"), "first");
        assert_eq!(starts.recv().await, None, "nothing else was made");
        assert_eq!(place.get(), Some(&"first"));
    }
}
