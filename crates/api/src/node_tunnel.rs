//! The streams that agents hold to this member, and the sessions that travel along them towards the nodes.
//!
//! **Invariant**: a session ends exactly once: by its end, or by the end of the stream that carried it. Whoever drops one here ends it
//! on the node. Taking a message of an agent never waits, so a session that nobody reads holds up no other.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{
    SessionFrame, SessionOpen, TunnelRequest, TunnelResponse, tunnel_request, tunnel_response,
};
use keelson_sessions::{Frame, Outcome, Receiver, SESSIONS_MAX, Sender, Sessions};
use keelson_types::status::Status;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// Nodes that one agent may host.
pub const NODES_MAX: usize = 10_000;
/// Messages towards an agent that it has not read yet.
const QUEUE_MAX: usize = 256;
/// An agent opens a stream that broke again at once; so long it may take.
const REOPENED_WITHIN: Duration = Duration::from_secs(10);

/// All the streams.
#[derive(Debug, Default)]
pub struct Tunnels {
    nodes: Mutex<HashMap<String, Arc<Tunnel>>>,
    /// Told of each announcement.
    announced: Notify,
}

/// One agent's stream.
#[derive(Debug)]
pub struct Tunnel {
    outgoing: mpsc::Sender<TunnelResponse>,
    next_session: AtomicU64,
    sessions: Sessions<TunnelResponse>,
}

/// The half of a session that sends to the node.
pub type Writer = Sender<TunnelResponse>;

/// A session with a container.
pub struct Session {
    pub writer: Writer,
    pub reader: Reader,
}

/// The half of a session that the node sends to.
pub struct Reader {
    node: String,
    frames: Receiver<TunnelResponse>,
    ended: bool,
}

impl Tunnels {
    /// A stream that was just opened, and the messages to send along it.
    pub fn open(&self) -> (Arc<Tunnel>, mpsc::Receiver<TunnelResponse>) {
        let (outgoing, receiver) = mpsc::channel(QUEUE_MAX);
        let sessions = Sessions::new(outgoing.clone(), wrap, SESSIONS_MAX);
        let tunnel = Tunnel { outgoing, next_session: AtomicU64::new(1), sessions };
        (Arc::new(tunnel), receiver)
    }

    /// Takes a message of an agent. Never waits.
    ///
    /// # Errors
    /// BadRequest for one that breaks the protocol; the stream is over then.
    pub fn receive(&self, tunnel: &Arc<Tunnel>, request: TunnelRequest) -> Result<(), Status> {
        match request.message {
            Some(tunnel_request::Message::Announce(announce)) => {
                if announce.nodes.len() > NODES_MAX {
                    return Err(Status::bad_request(format!("an agent may host at most {NODES_MAX} nodes")));
                }
                let mut nodes = self.nodes.lock();
                nodes.retain(|_, other| !Arc::ptr_eq(other, tunnel));
                nodes.extend(announce.nodes.into_iter().map(|node| (node, tunnel.clone())));
                drop(nodes);
                self.announced.notify_waiters();
                Ok(())
            }
            Some(tunnel_request::Message::Frame(frame)) => {
                tunnel.sessions.receive(frame);
                Ok(())
            }
            None => Err(Status::bad_request("a tunnel message without content")),
        }
    }

    /// The stream is over: its nodes are unreachable and its sessions end.
    pub fn close(&self, tunnel: &Arc<Tunnel>) {
        self.nodes.lock().retain(|_, other| !Arc::ptr_eq(other, tunnel));
        tunnel.sessions.close();
    }

    /// Waits until the node has a stream here: it may be about to open one, at the start of either side or after a break.
    ///
    /// # Errors
    /// ServiceUnavailable when it does not open one.
    pub async fn reach(&self, node: &str) -> Result<(), Status> {
        let reached = async {
            loop {
                let mut announced = pin!(self.announced.notified());
                announced.as_mut().enable();
                if self.nodes.lock().contains_key(node) {
                    return;
                }
                announced.await;
            }
        };
        tokio::time::timeout(REOPENED_WITHIN, reached).await.map_err(|_| unreachable(node))
    }

    /// Opens a session with a container or a pod of the node.
    ///
    /// # Errors
    /// ServiceUnavailable when the node has no stream here, TooManyRequests when it has too many sessions.
    pub fn session(&self, node: &str, what: What) -> Result<Session, Status> {
        let tunnel = self.nodes.lock().get(node).cloned();
        let tunnel = tunnel.ok_or_else(|| unreachable(node))?;
        let session_id = tunnel.next_session.fetch_add(1, Ordering::Relaxed);
        // Before there is a session that would have to be ended there.
        let Ok(place) = tunnel.outgoing.try_reserve() else { return Err(unreachable(node)) };
        let opened = tunnel.sessions.open(session_id);
        let (writer, frames) =
            opened.map_err(|_| Status::too_many_requests(format!("node {node:?} has too many open sessions"), 1))?;
        let open = SessionOpen { session_id, node: node.to_owned(), what: Some(what) };
        place.send(TunnelResponse { message: Some(tunnel_response::Message::Open(open)) });
        Ok(Session { writer, reader: Reader { node: node.to_owned(), frames, ended: false } })
    }

    /// Opens a container's log on a node.
    ///
    /// # Errors
    /// As [`Tunnels::session`].
    pub fn logs(&self, node: &str, logs: LogsRequest) -> Result<Reply, Status> {
        let Session { writer, reader } = self.session(node, What::Logs(logs))?;
        Ok(Reply { reader, _writer: writer })
    }
}

fn wrap(frame: SessionFrame) -> TunnelResponse {
    TunnelResponse { message: Some(tunnel_response::Message::Frame(frame)) }
}

fn unreachable(node: &str) -> Status {
    Status::unavailable(format!("node {node:?} has no connection to this member"))
}

impl Reader {
    /// The next frame, the last of which is the end; None after it. Cancel-safe.
    ///
    /// # Errors
    /// ServiceUnavailable when the node's stream went away.
    pub async fn next(&mut self) -> Option<Result<Frame, Status>> {
        if self.ended {
            return None;
        }
        let frame = self.frames.next().await;
        self.ended = matches!(frame, None | Some(Frame::End(_)));
        Some(
            frame
                .ok_or_else(|| Status::unavailable(format!("node {:?} lost its connection to this member", self.node))),
        )
    }
}

/// A log that a node sends. Dropping it ends the request.
pub struct Reply {
    reader: Reader,
    // The session is over when both halves are gone.
    _writer: Writer,
}

impl Reply {
    /// The next chunk; None at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the node says, or ServiceUnavailable when its stream went away.
    pub async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            match self.reader.next().await? {
                Ok(Frame::Data(_, data)) => return Some(Ok(data)),
                Ok(Frame::Last(_) | Frame::Resize { .. }) => {}
                Ok(Frame::End(Outcome::Exited(_))) => return None,
                Ok(Frame::End(Outcome::Failed(error))) => return Some(Err(Status::bad_request(error))),
                Err(status) => return Some(Err(status)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
    use keelson_proto::keelson::node::v1::{Announce, Data, SessionEnd};

    fn announce(nodes: &[&str]) -> TunnelRequest {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        TunnelRequest { message: Some(tunnel_request::Message::Announce(Announce { nodes })) }
    }

    fn frame(session_id: u64, frame: Wire) -> TunnelRequest {
        let frame = SessionFrame { session_id, frame: Some(frame) };
        TunnelRequest { message: Some(tunnel_request::Message::Frame(frame)) }
    }

    fn stdout(data: &'static str) -> Wire {
        Wire::Data(Data { stream: 2, data: Bytes::from_static(data.as_bytes()), last: false })
    }

    #[tokio::test]
    async fn a_log_comes_from_its_node_and_ends_with_the_session() {
        let tunnels = Tunnels::default();
        let (tunnel, mut outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a", "b"])).expect("announces");
        let mut reply = tunnels.logs("b", LogsRequest::default()).expect("opens");
        let Some(tunnel_response::Message::Open(open)) = outgoing.recv().await.and_then(|sent| sent.message) else {
            panic!("a SessionOpen is sent");
        };
        assert_eq!(open.node, "b");
        for sent in [stdout("one\n"), stdout("two\n"), Wire::End(SessionEnd::default())] {
            tunnels.receive(&tunnel, frame(open.session_id, sent)).expect("is taken");
        }
        assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"one\n"))));
        assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"two\n"))));
        assert_eq!(reply.next().await, None);
        assert_eq!(reply.next().await, None);
        drop(reply);
        assert!(outgoing.try_recv().is_err(), "what has ended is not ended again");
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_it_there_and_a_stream_that_ends_is_an_error() {
        let tunnels = Tunnels::default();
        let (tunnel, mut outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a"])).expect("announces");
        drop(tunnels.logs("a", LogsRequest::default()).expect("opens"));
        outgoing.recv().await.expect("the opening");
        let ended = outgoing.recv().await.and_then(|sent| sent.message);
        let Some(tunnel_response::Message::Frame(SessionFrame { frame: Some(Wire::End(_)), .. })) = ended else {
            panic!("{ended:?}");
        };
        let mut reply = tunnels.logs("a", LogsRequest::default()).expect("opens");
        tunnels.close(&tunnel);
        assert_eq!(reply.next().await.map(|last| last.map_err(|status| status.code)), Some(Err(503)));
        assert_eq!(tunnels.logs("a", LogsRequest::default()).err().expect("is gone").code, 503);
    }

    #[tokio::test]
    async fn a_later_announcement_replaces_the_earlier() {
        let tunnels = Tunnels::default();
        let (tunnel, _outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a"])).expect("announces");
        tunnels.receive(&tunnel, announce(&["b"])).expect("announces");
        assert!(tunnels.logs("a", LogsRequest::default()).is_err(), "it is not announced any more");
        tunnels.logs("b", LogsRequest::default()).expect("is announced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_opens_its_stream_again_is_waited_for_and_another_is_not_for_ever() {
        let tunnels = Arc::new(Tunnels::default());
        let waiting = tokio::spawn({
            let tunnels = tunnels.clone();
            async move { tunnels.reach("a").await }
        });
        tokio::task::yield_now().await;
        let (tunnel, _outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["b"])).expect("announces");
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "that was another node");
        tunnels.receive(&tunnel, announce(&["a"])).expect("announces");
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
        assert_eq!(tunnels.reach("a").await, Ok(()), "it is there");
        assert_eq!(tunnels.reach("b").await.expect_err("it is announced no more").code, 503);
    }

    #[tokio::test]
    async fn a_node_takes_only_so_many_sessions() {
        let tunnels = Tunnels::default();
        let (tunnel, mut outgoing) = tunnels.open();
        tokio::spawn(async move { while outgoing.recv().await.is_some() {} });
        tunnels.receive(&tunnel, announce(&["a"])).expect("announces");
        let mut open = Vec::new();
        while open.len() < SESSIONS_MAX {
            match tunnels.logs("a", LogsRequest::default()) {
                Ok(reply) => open.push(reply),
                // The queue is full for a moment.
                Err(_) => tokio::task::yield_now().await,
            }
        }
        tokio::task::yield_now().await;
        let refused = tunnels.logs("a", LogsRequest::default()).err().expect("is too many");
        assert_eq!((refused.code, refused.message.contains("too many open sessions")), (429, true));
        open.pop();
        tunnels.logs("a", LogsRequest::default()).expect("has a place again");
    }
}
