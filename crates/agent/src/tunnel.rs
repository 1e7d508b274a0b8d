//! One stream to each member, along which requests for logs come in. The agent dials; a stream that breaks is opened again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keelson_client::Tls;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_proto::keelson::node::v1::nodes_client::NodesClient;
use keelson_proto::keelson::node::v1::{Announce, LogChunk, LogOpen, TunnelRequest, tunnel_request, tunnel_response};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::logs;
use crate::runtime::{ContainerId, Line};

/// Pause before a broken stream is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// Messages towards the member that it has not read yet.
const QUEUE_MAX: usize = 64;
/// Logs read at once through one stream; further requests are refused.
const OPEN_MAX: usize = 256;
/// Bytes of one chunk.
const CHUNK_BYTES: usize = 256 << 10;

/// Finds a container's log: (request, whether its run is over). An error is for the reader.
pub type ReadLog = Arc<dyn Fn(&LogsRequest, Timestamp) -> Result<(ContainerId, Vec<Line>), String> + Send + Sync>;

/// Keeps a stream to `endpoint` open for ever.
pub async fn keep(endpoint: String, tls: Option<Tls>, nodes: Vec<String>, read: ReadLog) {
    loop {
        match serve(&endpoint, tls.as_ref(), nodes.clone(), &read).await {
            Ok(()) => tracing::debug!(endpoint, "a member closed the tunnel"),
            Err(error) => tracing::debug!(endpoint, error, "no tunnel"),
        }
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}

async fn serve(endpoint: &str, tls: Option<&Tls>, nodes: Vec<String>, read: &ReadLog) -> Result<(), String> {
    let channel = connect(endpoint, tls).map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let announce = tunnel_request::Message::Announce(Announce { nodes });
    let announced = sender.send(TunnelRequest { message: Some(announce) }).await;
    announced.map_err(|error| error.to_string())?;
    let stream = NodesClient::new(channel).tunnel(ReceiverStream::new(receiver)).await;
    let mut incoming = stream.map_err(|error| error.to_string())?.into_inner();
    let open: Arc<Mutex<HashMap<u64, CancellationToken>>> = Arc::default();
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    while let Some(message) = incoming.message().await.map_err(|error| error.to_string())? {
        match message.message {
            Some(tunnel_response::Message::LogOpen(request)) => {
                let cancelled = end.child_token();
                let room = {
                    let mut open = open.lock();
                    let room = open.len() < OPEN_MAX;
                    if room {
                        open.insert(request.request_id, cancelled.clone());
                    }
                    room
                };
                let (sender, read, open) = (sender.clone(), read.clone(), open.clone());
                tokio::spawn(async move {
                    let id = request.request_id;
                    if room {
                        // Cancelled means that nobody reads any more.
                        let _ = cancelled.run_until_cancelled(answer(&sender, request, &read)).await;
                        open.lock().remove(&id);
                    } else {
                        let error = format!("{OPEN_MAX} logs are being read from this node already");
                        let _ =
                            send(&sender, LogChunk { request_id: id, end: true, error, ..LogChunk::default() }).await;
                    }
                });
            }
            Some(tunnel_response::Message::Cancel(cancel)) => {
                if let Some(cancelled) = open.lock().remove(&cancel.request_id) {
                    cancelled.cancel();
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// Sends a log, and what is added to it while it is followed.
async fn answer(sender: &mpsc::Sender<TunnelRequest>, open: LogOpen, read: &ReadLog) {
    let LogOpen { request_id, logs, .. } = open;
    let request = logs.unwrap_or_default();
    let mut left = request.limit_bytes.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut shown_up_to: Option<(Timestamp, usize)> = None;
    loop {
        let now = Timestamp::now();
        let lines = match read(&request, now) {
            Ok((_, lines)) => lines,
            Err(error) if shown_up_to.is_none() => {
                let _ = send(sender, LogChunk { request_id, end: true, error, ..LogChunk::default() }).await;
                return;
            }
            // A followed container that is gone: its log ends.
            Err(_) => break,
        };
        let fresh = match shown_up_to {
            None => logs::select(lines.clone(), &request, now),
            // Lines of one moment are told apart by their number.
            Some((at, count)) => {
                let same = lines.iter().filter(|line| line.at == at).count();
                let skip = lines.iter().filter(|line| line.at < at).count() + count.min(same);
                lines[skip.min(lines.len())..].to_vec()
            }
        };
        shown_up_to = Some(match lines.last() {
            Some(last) => (last.at, lines.iter().filter(|line| line.at == last.at).count()),
            None => shown_up_to.unwrap_or((Timestamp::MIN, 0)),
        });
        let mut bytes = logs::encode(&fresh, request.timestamps);
        bytes.truncate(left);
        left -= bytes.len();
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let chunk = LogChunk { request_id, data: chunk.to_vec().into(), ..LogChunk::default() };
            if send(sender, chunk).await.is_err() {
                return;
            }
        }
        if !request.follow || request.previous || left == 0 {
            break;
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
    let _ = send(sender, LogChunk { request_id, end: true, ..LogChunk::default() }).await;
}

/// Fails only when the stream is over, which its owner sees too.
async fn send(sender: &mpsc::Sender<TunnelRequest>, chunk: LogChunk) -> Result<(), ()> {
    let message = TunnelRequest { message: Some(tunnel_request::Message::LogChunk(chunk)) };
    sender.send(message).await.map_err(|_| ())
}

fn connect(endpoint: &str, tls: Option<&Tls>) -> Result<Channel, tonic::transport::Error> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut channel = Endpoint::from_shared(format!("{scheme}://{endpoint}"))?
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if let Some(tls) = tls {
        channel = channel.tls_config(
            ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(&tls.ca_pem))
                .identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem)),
        )?;
    }
    Ok(channel.connect_lazy())
}
