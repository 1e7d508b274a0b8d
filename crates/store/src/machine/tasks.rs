//! A set of tasks that end together.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

use super::spawn_in;

/// [`JoinSet`], on whatever machine its member runs. Dropping it ends the tasks.
pub(crate) struct Tasks<T>(JoinSet<T>);

impl<T: Send + 'static> Tasks<T> {
    pub(crate) fn new() -> Self {
        Self(JoinSet::new())
    }

    pub(crate) fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) {
        spawn_in(&mut self.0, future);
    }

    /// The next one that ended; None when there are none.
    pub(crate) async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.0.join_next().await
    }

    /// Ends all, and waits until they have ended.
    pub(crate) async fn shutdown(&mut self) {
        self.0.shutdown().await;
    }
}
