//! The streams that agents hold to this member, and the requests that travel along them towards the nodes.
//!
//! **Invariant**: a request is answered exactly once: by its last chunk, by an error, or by the end of the stream that
//! carried it. A reader that goes away cancels its request on the node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_proto::keelson::node::v1::{
    Cancel, LogChunk, LogOpen, TunnelRequest, TunnelResponse, tunnel_request, tunnel_response,
};
use keelson_types::status::Status;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Nodes that one agent may host.
pub const NODES_MAX: usize = 10_000;
/// Requests open on one stream.
const REQUESTS_MAX: usize = 1024;
/// Messages towards an agent that it has not read yet.
const QUEUE_MAX: usize = 256;
/// Chunks that a reader has not read yet.
const CHUNKS_MAX: usize = 64;
/// A reader that takes longer than this for a chunk loses its request: it would hold up the agent's other ones.
const READER_STALL_MAX: Duration = Duration::from_secs(10);

/// All the streams.
#[derive(Debug, Default)]
pub struct Tunnels {
    nodes: Mutex<HashMap<String, Arc<Tunnel>>>,
}

/// One agent's stream.
#[derive(Debug)]
pub struct Tunnel {
    outgoing: mpsc::Sender<TunnelResponse>,
    next_request: AtomicU64,
    requests: Mutex<HashMap<u64, mpsc::Sender<Result<Bytes, String>>>>,
}

impl Tunnels {
    /// A stream that was just opened, and the messages to send along it.
    pub fn open(&self) -> (Arc<Tunnel>, mpsc::Receiver<TunnelResponse>) {
        let (outgoing, receiver) = mpsc::channel(QUEUE_MAX);
        let tunnel = Tunnel { outgoing, next_request: AtomicU64::new(1), requests: Mutex::new(HashMap::new()) };
        (Arc::new(tunnel), receiver)
    }

    /// Takes a message of an agent.
    ///
    /// # Errors
    /// BadRequest for one that breaks the protocol; the stream is over then.
    pub async fn receive(&self, tunnel: &Arc<Tunnel>, request: TunnelRequest) -> Result<(), Status> {
        match request.message {
            Some(tunnel_request::Message::Announce(announce)) => {
                if announce.nodes.len() > NODES_MAX {
                    return Err(Status::bad_request(format!("an agent may host at most {NODES_MAX} nodes")));
                }
                let mut nodes = self.nodes.lock();
                nodes.retain(|_, other| !Arc::ptr_eq(other, tunnel));
                nodes.extend(announce.nodes.into_iter().map(|node| (node, tunnel.clone())));
                Ok(())
            }
            Some(tunnel_request::Message::LogChunk(chunk)) => {
                tunnel.receive(chunk).await;
                Ok(())
            }
            None => Err(Status::bad_request("a tunnel message without content")),
        }
    }

    /// The stream is over: its nodes are unreachable and its requests end.
    pub fn close(&self, tunnel: &Arc<Tunnel>) {
        self.nodes.lock().retain(|_, other| !Arc::ptr_eq(other, tunnel));
        // Readers see the end of their channel, which without a last chunk is an error.
        tunnel.requests.lock().clear();
    }

    /// Opens a container's log on a node.
    ///
    /// # Errors
    /// ServiceUnavailable when the node has no stream here, TooManyRequests when it has too many requests.
    pub fn logs(&self, node: &str, logs: LogsRequest) -> Result<Reply, Status> {
        let tunnel = self.nodes.lock().get(node).cloned();
        let tunnel = tunnel.ok_or_else(|| unreachable(node))?;
        let id = tunnel.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        {
            let mut requests = tunnel.requests.lock();
            if requests.len() >= REQUESTS_MAX {
                return Err(Status::too_many_requests(format!("node {node:?} has too many open requests"), 1));
            }
            requests.insert(id, sender);
        }
        let reply = Reply { id, node: node.to_owned(), tunnel, chunks, ended: false };
        let open = LogOpen { request_id: id, node: node.to_owned(), logs: Some(logs) };
        let message = TunnelResponse { message: Some(tunnel_response::Message::LogOpen(open)) };
        match reply.tunnel.outgoing.try_send(message) {
            Ok(()) => Ok(reply),
            Err(_) => Err(unreachable(node)),
        }
    }
}

fn unreachable(node: &str) -> Status {
    Status::unavailable(format!("node {node:?} has no connection to this member"))
}

impl Tunnel {
    async fn receive(&self, chunk: LogChunk) {
        let LogChunk { request_id, data, end, error } = chunk;
        let sender = self.requests.lock().get(&request_id).cloned();
        // A chunk that crossed its cancellation.
        let Some(sender) = sender else { return };
        let mut over = end;
        if !data.is_empty() {
            over |= !matches!(tokio::time::timeout(READER_STALL_MAX, sender.send(Ok(data))).await, Ok(Ok(())));
        }
        if !error.is_empty() {
            over = true;
            let _ = tokio::time::timeout(READER_STALL_MAX, sender.send(Err(error))).await;
        } else if end {
            let _ = tokio::time::timeout(READER_STALL_MAX, sender.send(Ok(Bytes::new()))).await;
        }
        if over {
            self.requests.lock().remove(&request_id);
            if !end {
                self.cancel(request_id);
            }
        }
    }

    fn cancel(&self, request_id: u64) {
        let message = TunnelResponse { message: Some(tunnel_response::Message::Cancel(Cancel { request_id })) };
        // An agent that is too far behind to take it ends with its stream.
        let _ = self.outgoing.try_send(message);
    }
}

/// What a node answers. Dropping it cancels the request.
#[derive(Debug)]
pub struct Reply {
    id: u64,
    node: String,
    tunnel: Arc<Tunnel>,
    chunks: mpsc::Receiver<Result<Bytes, String>>,
    ended: bool,
}

impl Reply {
    /// The next chunk; None at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the node says, or ServiceUnavailable when its stream went away.
    pub async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        if self.ended {
            return None;
        }
        match self.chunks.recv().await {
            // The empty chunk is the last.
            Some(Ok(data)) if data.is_empty() => {
                self.ended = true;
                None
            }
            Some(Ok(data)) => Some(Ok(data)),
            Some(Err(error)) => {
                self.ended = true;
                Some(Err(Status::bad_request(error)))
            }
            None => {
                self.ended = true;
                Some(Err(unreachable(&self.node)))
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.tunnel.requests.lock().remove(&self.id).is_some() {
            self.tunnel.cancel(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_proto::keelson::node::v1::Announce;

    fn announce(nodes: &[&str]) -> TunnelRequest {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        TunnelRequest { message: Some(tunnel_request::Message::Announce(Announce { nodes })) }
    }

    fn chunk(request_id: u64, data: &'static str, end: bool, error: &str) -> TunnelRequest {
        let chunk = LogChunk { request_id, data: Bytes::from_static(data.as_bytes()), end, error: error.to_owned() };
        TunnelRequest { message: Some(tunnel_request::Message::LogChunk(chunk)) }
    }

    #[tokio::test]
    async fn a_request_reaches_its_node_and_ends_with_the_last_chunk() {
        let tunnels = Tunnels::default();
        let (tunnel, mut outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a", "b"])).await.expect("announces");
        let mut reply = tunnels.logs("b", LogsRequest::default()).expect("opens");
        let Some(tunnel_response::Message::LogOpen(open)) = outgoing.recv().await.and_then(|sent| sent.message) else {
            panic!("a LogOpen is sent");
        };
        assert_eq!(open.node, "b");
        tunnels.receive(&tunnel, chunk(open.request_id, "one\n", false, "")).await.expect("is taken");
        tunnels.receive(&tunnel, chunk(open.request_id, "two\n", true, "")).await.expect("is taken");
        assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"one\n"))));
        assert_eq!(reply.next().await, Some(Ok(Bytes::from_static(b"two\n"))));
        assert_eq!(reply.next().await, None);
        assert_eq!(reply.next().await, None);
        drop(reply);
        assert!(outgoing.try_recv().is_err(), "an ended request is not cancelled");
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_cancels_and_a_stream_that_ends_is_an_error() {
        let tunnels = Tunnels::default();
        let (tunnel, mut outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a"])).await.expect("announces");
        drop(tunnels.logs("a", LogsRequest::default()).expect("opens"));
        outgoing.recv().await.expect("the opening");
        let cancelled = outgoing.recv().await.and_then(|sent| sent.message);
        assert!(matches!(cancelled, Some(tunnel_response::Message::Cancel(_))));
        let mut reply = tunnels.logs("a", LogsRequest::default()).expect("opens");
        tunnels.close(&tunnel);
        assert_eq!(reply.next().await.map(|last| last.map_err(|status| status.code)), Some(Err(503)));
        assert_eq!(tunnels.logs("a", LogsRequest::default()).expect_err("is gone").code, 503);
    }

    #[tokio::test]
    async fn a_later_announcement_replaces_the_earlier() {
        let tunnels = Tunnels::default();
        let (tunnel, _outgoing) = tunnels.open();
        tunnels.receive(&tunnel, announce(&["a"])).await.expect("announces");
        tunnels.receive(&tunnel, announce(&["b"])).await.expect("announces");
        tunnels.logs("a", LogsRequest::default()).expect_err("is not announced any more");
        tunnels.logs("b", LogsRequest::default()).expect("is announced");
    }
}
