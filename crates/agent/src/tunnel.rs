//! One stream to each member, along which sessions come in: logs, commands, forwarded ports. The agent dials; a stream that breaks is
//! opened again.
//!
//! **Invariant**: reading the stream never waits for a session, so that one that is not read holds up no other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keelson_client::Tls;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_proto::keelson::node::v1::nodes_client::NodesClient;
use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{
    Announce, SessionEnd, SessionFrame, SessionOpen, TunnelRequest, session_frame, tunnel_request, tunnel_response,
};
use keelson_sessions::{Channel, Outcome, Receiver, SESSIONS_MAX, Sender, Sessions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel as Connection, ClientTlsConfig, Endpoint, Identity};

use crate::logs;
use crate::runtime::{Log, Running};

/// Pause before a broken stream is opened again.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// Messages towards the member that it has not read yet.
const QUEUE_MAX: usize = 64;
/// A message of the member: frames are short, and a command's words and names have the bounds of an HTTP request and 256 KiB.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Finds a container's log: (request, now). An error is for the reader.
pub type ReadLog = Arc<dyn Fn(&LogsRequest, Timestamp) -> Result<Log, String> + Send + Sync>;
/// Begins any other session, on a node. An error is for the client.
pub type Open =
    Arc<dyn Fn(&str, What, Receiver<TunnelRequest>, Sender<TunnelRequest>) -> Result<Running, String> + Send + Sync>;

/// What the sessions are with.
#[derive(Clone)]
pub struct Host {
    pub read: ReadLog,
    pub open: Open,
}

/// Keeps a stream to `endpoint` open for ever.
pub async fn keep(endpoint: String, tls: Option<Tls>, nodes: Vec<String>, host: Host) {
    loop {
        match serve(&endpoint, tls.as_ref(), nodes.clone(), &host).await {
            Ok(()) => tracing::debug!(endpoint, "a member closed the tunnel"),
            Err(error) => tracing::debug!(endpoint, error, "no tunnel"),
        }
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}

async fn serve(endpoint: &str, tls: Option<&Tls>, nodes: Vec<String>, host: &Host) -> Result<(), String> {
    let channel = connect(endpoint, tls).map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let announce = tunnel_request::Message::Announce(Announce { nodes });
    let announced = sender.send(TunnelRequest { message: Some(announce) }).await;
    announced.map_err(|error| error.to_string())?;
    let stream = NodesClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .tunnel(ReceiverStream::new(receiver))
        .await;
    let mut incoming = stream.map_err(|error| error.to_string())?.into_inner();
    let sessions = Sessions::new(sender.clone(), wrap, SESSIONS_MAX);
    // What is open ends with the stream.
    let mut open = JoinSet::new();
    let served = loop {
        let message = tokio::select! {
            message = incoming.message() => message,
            Some(_) = open.join_next() => continue,
        };
        match message {
            Ok(Some(message)) => match message.message {
                Some(tunnel_response::Message::Open(SessionOpen { session_id, node, what })) => {
                    match sessions.open(session_id) {
                        Ok((sender, receiver)) => {
                            open.spawn(session(node, what, sender, receiver, host.clone()));
                        }
                        Err(full) => {
                            let end = SessionEnd { exit_code: 0, error: format!("{full} on this node") };
                            let frame = SessionFrame { session_id, frame: Some(session_frame::Frame::End(end)) };
                            let refused = sender.send(wrap(frame)).await;
                            refused.map_err(|error| error.to_string())?;
                        }
                    }
                }
                Some(tunnel_response::Message::Frame(frame)) => sessions.receive(frame),
                None => {}
            },
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    sessions.close();
    served
}

fn wrap(frame: SessionFrame) -> TunnelRequest {
    TunnelRequest { message: Some(tunnel_request::Message::Frame(frame)) }
}

/// Runs one session until it ends by itself or nobody is interested any more.
async fn session(
    node: String,
    what: Option<What>,
    output: Sender<TunnelRequest>,
    input: Receiver<TunnelRequest>,
    host: Host,
) {
    let ending = output.clone();
    let run = async {
        match what {
            Some(What::Logs(request)) => answer(&output, request, &host.read).await,
            Some(what) => match (host.open)(&node, what, input, output) {
                Ok(running) => running.await,
                Err(why) => Outcome::Failed(why),
            },
            None => Outcome::Failed("this agent does not know what is asked for".to_owned()),
        }
    };
    let outcome = tokio::select! {
        outcome = run => outcome,
        () = ending.closed() => return,
    };
    ending.end(outcome).await;
}

/// Sends a log, and what is added to it while it is followed, up to the end of the container's run.
async fn answer(sender: &Sender<TunnelRequest>, request: LogsRequest, read: &ReadLog) -> Outcome {
    let mut left = request.limit_bytes.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut shown_up_to: Option<(Timestamp, usize)> = None;
    let mut followed = None;
    loop {
        let now = Timestamp::now();
        let Log { lines, run, ended } = match read(&request, now) {
            // The run that was followed is over, and the next one has begun.
            Ok(log) if followed.is_some_and(|followed| followed != log.run) => break,
            Ok(log) => log,
            Err(error) if shown_up_to.is_none() => return Outcome::Failed(error),
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
        if sender.data(Channel::Stdout, bytes.into()).await.is_err() {
            break;
        }
        if !request.follow || ended || left == 0 {
            break;
        }
        followed = Some(run);
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
    Outcome::Exited(0)
}

fn connect(endpoint: &str, tls: Option<&Tls>) -> Result<Connection, tonic::transport::Error> {
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
