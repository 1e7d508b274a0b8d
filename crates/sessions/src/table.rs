//! The sessions that are open at one end of a stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keelson_proto::keelson::node::v1::SessionFrame;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::frame::Frame;
use crate::session::{Link, Receiver, Sender};
use crate::{Outcome, WINDOW_BYTES};

/// There are as many sessions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sessions are open")]
pub struct Full;

/// One end of a stream whose messages are `M`. Clones are the same end.
pub struct Sessions<M> {
    shared: Arc<Shared<M>>,
}

pub(crate) struct Shared<M> {
    pub outgoing: mpsc::Sender<M>,
    pub wrap: fn(SessionFrame) -> M,
    open: Mutex<HashMap<u64, Entry>>,
    sessions_max: usize,
}

struct Entry {
    /// Bounded by the credit: `waiting` counts what is in it.
    frames: mpsc::UnboundedSender<Frame>,
    waiting: Arc<AtomicUsize>,
    /// What this side may still send.
    credit: Arc<Semaphore>,
    over: CancellationToken,
}

impl<M> Clone for Sessions<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<M> std::fmt::Debug for Sessions<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.shared.open.lock().len()).finish()
    }
}

impl<M: Send + 'static> Sessions<M> {
    /// An end that sends along `outgoing` what `wrap` makes of its frames.
    #[must_use]
    pub fn new(outgoing: mpsc::Sender<M>, wrap: fn(SessionFrame) -> M, sessions_max: usize) -> Self {
        let open = Mutex::new(HashMap::new());
        Self { shared: Arc::new(Shared { outgoing, wrap, open, sessions_max }) }
    }

    /// A session of this number, which must be a new one.
    ///
    /// # Errors
    /// When there are too many.
    pub fn open(&self, id: u64) -> Result<(Sender<M>, Receiver<M>), Full> {
        let (frames, incoming) = mpsc::unbounded_channel();
        let (waiting, credit) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(WINDOW_BYTES)));
        let over = CancellationToken::new();
        {
            let mut open = self.shared.open.lock();
            if open.len() >= self.shared.sessions_max || open.contains_key(&id) {
                return Err(Full);
            }
            open.insert(id, Entry { frames, waiting: waiting.clone(), credit: credit.clone(), over: over.clone() });
        }
        let link = Arc::new(Link { id, shared: self.shared.clone() });
        Ok((Sender::new(link.clone(), credit, over), Receiver::new(link, incoming, waiting)))
    }

    /// Takes a frame of the other end. Never waits; what is for no open session crossed its end and is passed over.
    pub fn receive(&self, frame: SessionFrame) {
        let SessionFrame { session_id, frame: Some(wire) } = frame else { return };
        let mut open = self.shared.open.lock();
        let Some(entry) = open.get(&session_id) else { return };
        let fault = match wire {
            Wire::Credit(credit) => entry.grant(credit).err(),
            wire => match Frame::from_wire(wire) {
                Some(frame) => {
                    let over = matches!(frame, Frame::End(_));
                    let fault = entry.deliver(frame).err();
                    if over {
                        close(open.remove(&session_id));
                        return;
                    }
                    fault
                }
                None => Some("a frame that cannot be read"),
            },
        };
        if let Some(fault) = fault {
            let entry = open.remove(&session_id);
            drop(open);
            if let Some(entry) = &entry {
                let _ = entry.frames.send(Frame::End(Outcome::Failed(format!("the other side sent {fault}"))));
            }
            close(entry);
            self.shared.tell_end(session_id, &Outcome::Failed(fault.to_owned()));
        }
    }

    /// The stream is over: every session ends without an outcome.
    pub fn close(&self) {
        for (_, entry) in self.shared.open.lock().drain() {
            close(Some(entry));
        }
    }
}

fn close(entry: Option<Entry>) {
    if let Some(entry) = entry {
        entry.credit.close();
        entry.over.cancel();
    }
}

impl Entry {
    fn grant(&self, credit: u32) -> Result<(), &'static str> {
        let credit = usize::try_from(credit).unwrap_or(usize::MAX);
        if credit > WINDOW_BYTES.saturating_sub(self.credit.available_permits()) {
            return Err("credit for what it never got");
        }
        self.credit.add_permits(credit);
        Ok(())
    }

    fn deliver(&self, frame: Frame) -> Result<(), &'static str> {
        let cost = frame.cost();
        if self.waiting.fetch_add(cost, Ordering::AcqRel) + cost > WINDOW_BYTES {
            return Err("more than it had credit for");
        }
        // Nobody may be reading any more.
        let _ = self.frames.send(frame);
        Ok(())
    }
}

impl<M: Send + 'static> Shared<M> {
    /// Forgets a session that this side is done with; whether it was open.
    pub fn forget(&self, id: u64) -> bool {
        let entry = self.open.lock().remove(&id);
        let was_open = entry.is_some();
        close(entry);
        was_open
    }

    /// Tells the other end without waiting here.
    pub fn tell_end(&self, id: u64, outcome: &Outcome) {
        let frame = SessionFrame { session_id: id, frame: Some(Frame::End(outcome.clone()).to_wire()) };
        let message = (self.wrap)(frame);
        if let Err(mpsc::error::TrySendError::Full(message)) = self.outgoing.try_send(message)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let outgoing = self.outgoing.clone();
            // Ends when there is room, or with the stream.
            runtime.spawn(async move { outgoing.send(message).await });
        }
    }
}
