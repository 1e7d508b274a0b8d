//! The messages of a call in one direction.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use keelson_store::machine::Machine;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::{Fate, Network, Reset, mutated};

/// Messages on their way, as much as a window of the real network may hold.
const UNDER_WAY_MAX: usize = 64;

type Item = Result<Frame<Bytes>, Status>;
type Carried = StreamBody<Pin<Box<dyn Stream<Item = Item> + Send>>>;

/// A message, and when it arrives. None ends the body.
type Sent = (Instant, Option<Item>);

/// Carries a body of a call to `path` from one member to another. `sender`'s machine reads it.
pub(super) fn carry(
    network: &Network,
    (from, to): (usize, usize),
    path: Arc<str>,
    body: Body,
    sender: &Machine,
    reset: &mut Reset,
) -> Carried {
    let (to_wire, from_wire) = mpsc::channel(UNDER_WAY_MAX);
    let reading = sender.spawn(send(network.clone(), path, body, to_wire));
    reset.0.push(reading.abort_handle());
    let state = (network.clone(), from_wire, false);
    let arriving = futures::stream::unfold(state, move |(network, mut from_wire, ended)| async move {
        if ended {
            return None;
        }
        // Without a last message the sender has stopped or lost interest.
        let Some((at, item)) = from_wire.recv().await else {
            return Some((Err(Status::unavailable("the connection broke")), (network, from_wire, true)));
        };
        tokio::time::sleep_until(at).await;
        if let Err(status) = network.passable(from, to).await {
            return Some((Err(status), (network, from_wire, true)));
        }
        let item = item?;
        let ended = item.is_err();
        Some((item, (network, from_wire, ended)))
    });
    StreamBody::new(Box::pin(arriving))
}

async fn send(network: Network, path: Arc<str>, mut body: Body, to_wire: mpsc::Sender<Sent>) {
    let mut last = Instant::now();
    loop {
        let frame = body.frame().await;
        let (item, ends) = match frame {
            None => (None, true),
            Some(Err(status)) => (Some(Err(status)), true),
            Some(Ok(frame)) => (Some(Ok(mutated::frame(&network, &path, frame))), false),
        };
        let sent = match network.fate() {
            Fate::Arrives { after } => {
                last = last.max(Instant::now() + after);
                (last, item)
            }
            Fate::Breaks { after } => {
                let broken = Status::unavailable("the connection broke on the way");
                drop(to_wire.send((last.max(Instant::now() + after), Some(Err(broken)))).await);
                return;
            }
        };
        if to_wire.send(sent).await.is_err() || ends {
            return;
        }
    }
}

/// A body that resets its call when it is dropped.
pub(super) struct Guarded {
    pub(super) body: Carried,
    pub(super) _reset: Reset,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
}
