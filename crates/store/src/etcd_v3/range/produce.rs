//! Feeds the rest of an answer to its connection, no faster than the client reads.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tonic::Status;

use super::lists::Share;
use crate::Error;
use crate::etcd_v3::reply::Part;
use crate::handle::read::blocking;
use crate::state::listing::Listing;

/// The answer's side of a connection.
pub(super) struct Sink {
    parts: mpsc::Sender<Part>,
    stall: Duration,
    /// Completes when the answer must end before its time.
    stop: BoxFuture<'static, Error>,
}

/// The client is gone, has stalled, or was told why the answer ends: nothing is left to be done.
pub(super) struct Over;

/// A sink and what the connection reads from it. One part waits in between while the next is being read.
pub(super) fn sink(stall: Duration, stop: BoxFuture<'static, Error>) -> (Sink, mpsc::Receiver<Part>) {
    let (parts, receiver) = mpsc::channel(1);
    (Sink { parts, stall, stop }, receiver)
}

impl Sink {
    /// Sends a part once there is room. A client that leaves no room for too long is given up: dropping the sink without
    /// an end tells it so.
    pub(super) async fn data(&mut self, data: Bytes) -> Result<(), Over> {
        let stopped = tokio::select! {
            sent = tokio::time::timeout(self.stall, self.parts.send(Part::Data(data))) => {
                return if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Over) };
            }
            stopped = &mut self.stop => stopped,
        };
        self.end(stopped.into()).await;
        Err(Over)
    }

    /// Ends the answer.
    pub(super) async fn end(&mut self, status: Status) {
        // A client that is gone, or does not read, is not told.
        drop(tokio::time::timeout(self.stall, self.parts.send(Part::End(status))).await);
    }

    /// Ends the answer with the outcome of its production.
    pub(super) async fn finish(mut self, outcome: Result<Result<(), Status>, Over>) {
        match outcome {
            Ok(Ok(())) => self.end(Status::ok("")).await,
            Ok(Err(status)) => self.end(status).await,
            Err(Over) => {}
        }
    }
}

/// Sends segments that are held already, giving each part of the budget back as it goes.
pub(super) async fn send_held(
    sink: &mut Sink,
    segments: impl IntoIterator<Item = Bytes>,
    mut bytes: usize,
    share: &mut Option<Share>,
) -> Result<(), Over> {
    for segment in segments {
        bytes = bytes.saturating_sub(segment.len());
        sink.data(segment).await?;
        if let Some(share) = share {
            share.shrink(bytes);
        }
    }
    Ok(())
}

/// Runs a step of a listing where it may block on the disk.
pub(super) async fn step<T: Send + 'static>(
    mut listing: Listing,
    step: impl FnOnce(&mut Listing) -> Result<T, Error> + Send + 'static,
) -> Result<(Listing, T), Error> {
    blocking(move || {
        let given = step(&mut listing)?;
        Ok((listing, given))
    })
    .await
}
