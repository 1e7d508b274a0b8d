//! The two halves of one session at one end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use keelson_proto::keelson::node::v1::SessionFrame;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::frame::Frame;
use crate::table::Shared;
use crate::{Channel, Closed, DATA_BYTES_MAX, Outcome, WINDOW_BYTES};

/// Credit is given back in pieces of this size, so that it costs few messages.
const CREDIT_STEP: usize = WINDOW_BYTES / 4;

/// What both halves hold; when it goes, the other side hears that the session is over unless it was already.
pub(crate) struct Link<M: Send + 'static> {
    pub id: u64,
    pub shared: Arc<Shared<M>>,
}

impl<M: Send + 'static> Drop for Link<M> {
    fn drop(&mut self) {
        if self.shared.forget(self.id) {
            self.shared.tell_end(self.id, &Outcome::Failed("the other side went away".to_owned()));
        }
    }
}

impl<M: Send + 'static> Link<M> {
    fn message(&self, wire: Wire) -> M {
        (self.shared.wrap)(SessionFrame { session_id: self.id, frame: Some(wire) })
    }
}

/// The half that sends. Clones share one credit.
pub struct Sender<M: Send + 'static> {
    link: Arc<Link<M>>,
    credit: Arc<Semaphore>,
    over: CancellationToken,
}

impl<M: Send + 'static> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone(), credit: self.credit.clone(), over: self.over.clone() }
    }
}

impl<M: Send + 'static> Sender<M> {
    pub(crate) fn new(link: Arc<Link<M>>, credit: Arc<Semaphore>, over: CancellationToken) -> Self {
        Self { link, credit, over }
    }

    /// Sends bytes, in pieces; waits while the other side has too many.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn data(&self, channel: Channel, mut data: Bytes) -> Result<(), Closed> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(DATA_BYTES_MAX));
            self.frame(Frame::Data(channel, piece)).await?;
        }
        Ok(())
    }

    /// Nothing follows on the channel.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn last(&self, channel: Channel) -> Result<(), Closed> {
        self.frame(Frame::Last(channel)).await
    }

    /// # Errors
    /// When the session is over.
    pub async fn resize(&self, columns: u32, rows: u32) -> Result<(), Closed> {
        self.frame(Frame::Resize { columns, rows }).await
    }

    /// Ends the session, after all that was sent before.
    pub async fn end(self, outcome: Outcome) {
        let message = self.link.message(Frame::End(outcome).to_wire());
        if self.link.shared.forget(self.link.id) {
            let _ = self.link.shared.outgoing.send(message).await;
        }
    }

    async fn frame(&self, frame: Frame) -> Result<(), Closed> {
        let cost = u32::try_from(frame.cost()).map_err(|_| Closed)?;
        self.credit.acquire_many(cost).await.map_err(|_| Closed)?.forget();
        self.link.shared.outgoing.send(self.link.message(frame.to_wire())).await.map_err(|_| Closed)
    }

    /// Returns when the other side has ended the session, or the stream is over.
    pub async fn closed(&self) {
        self.over.cancelled().await;
    }
}

/// The half that receives.
pub struct Receiver<M: Send + 'static> {
    link: Arc<Link<M>>,
    frames: mpsc::UnboundedReceiver<Frame>,
    waiting: Arc<AtomicUsize>,
    /// Taken from `frames`, and not yet given back.
    owed: usize,
}

impl<M: Send + 'static> Receiver<M> {
    pub(crate) fn new(link: Arc<Link<M>>, frames: mpsc::UnboundedReceiver<Frame>, waiting: Arc<AtomicUsize>) -> Self {
        Self { link, frames, waiting, owed: 0 }
    }

    /// The next frame; the last is [`Frame::End`], or None when the stream went away first. Cancel-safe.
    ///
    /// What it returned before counts as taken, and the other side gets credit for it.
    pub async fn next(&mut self) -> Option<Frame> {
        if self.owed >= CREDIT_STEP {
            // Without room for the credit there is no use in waiting for frames that need it.
            // When the stream is over, what has arrived before is still to be had.
            if let Ok(permit) = self.link.shared.outgoing.reserve().await {
                self.waiting.fetch_sub(self.owed, Ordering::AcqRel);
                permit.send(self.link.message(Wire::Credit(u32::try_from(self.owed).unwrap_or(u32::MAX))));
            }
            self.owed = 0;
        }
        let frame = self.frames.recv().await?;
        self.owed += frame.cost();
        Some(frame)
    }

    /// What has arrived already, without giving credit for it.
    #[cfg(test)]
    pub fn try_next(&mut self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }
}
