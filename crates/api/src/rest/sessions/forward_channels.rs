//! Forwarded ports over a WebSocket, as the client libraries of several languages do it: the request names the ports, and each has one
//! connection, on two channels. Those of the first port are 0 for data and 1 for what went wrong, those of the second 2 and 3, and so
//! on. The first message on each channel is the port's number, the low byte first.
//!
//! A client has no means of ending one connection. What is said for one that is over is passed over; when all are, so is the session.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use keelson_sessions::{Channel, Frame, Outcome};
use keelson_types::status::Status;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::client::{FAREWELL_MAX, PING_INTERVAL};
use super::forward::Ports;
use super::websocket::{self, Io};
use crate::node_tunnel::{Reader, Writer};
use crate::pipeline::{PodSession, ReadVersion};
use crate::rest::parameters::Parameters;

/// Each has two channels, and a channel is a byte.
const PORTS_MAX: usize = 128;
/// Messages that wait for the client, of all ports together, and messages that wait for one port.
const QUEUE_MAX: usize = 4;

/// The ports that a request names: `ports=80&ports=443`, or `ports=80,443`.
///
/// # Errors
/// BadRequest when there are none or too many, when one is no port or comes twice.
pub(super) fn ports(parameters: &Parameters) -> Result<Vec<u16>, Status> {
    let mut ports = Vec::new();
    for text in parameters.all("ports").flat_map(|ports| ports.split(',')) {
        let port = text.parse().ok().filter(|port| *port > 0);
        let port =
            port.ok_or_else(|| Status::bad_request(format!("ports: {text:?} is not a number from 1 to 65535")))?;
        if ports.contains(&port) {
            return Err(Status::bad_request(format!("ports: {port} is named twice")));
        }
        ports.push(port);
    }
    match ports.len() {
        0 => Err(Status::bad_request("query parameter \"ports\" is required")),
        1..=PORTS_MAX => Ok(ports),
        _ => Err(Status::bad_request(format!("ports: at most {PORTS_MAX} can be forwarded by one connection"))),
    }
}

/// Where one port's messages go.
#[derive(Clone)]
struct Channels {
    data: u8,
    error: u8,
    client: mpsc::Sender<Message>,
}

/// The client is gone.
struct Gone;

impl Channels {
    async fn say(&self, channel: u8, data: &[u8]) -> Result<(), Gone> {
        let mut message = BytesMut::with_capacity(1 + data.len());
        message.put_u8(channel);
        message.extend_from_slice(data);
        self.client.send(Message::Binary(message.freeze())).await.map_err(|_| Gone)
    }
}

/// Serves one client, until all of its connections are over or it goes away.
pub(super) async fn serve(forward: Ports, io: Io, numbers: Vec<u16>) {
    let shutdown = forward.pipeline.shutdown().clone();
    let (mut sink, mut stream) = websocket::open(io).await.split();
    let (client, mut queue) = mpsc::channel(QUEUE_MAX);
    // The connections end with the client.
    let mut connections = JoinSet::new();
    let mut inputs = Vec::with_capacity(numbers.len());
    for (channel, port) in (0u8..).step_by(2).zip(numbers) {
        let channels = Channels { data: channel, error: channel + 1, client: client.clone() };
        let (input, given) = mpsc::channel(QUEUE_MAX);
        inputs.push(input);
        connections.spawn(connect(forward.clone(), port, channels, given));
    }
    drop(client);
    let incoming = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Binary(data) => {
                    if let Some((input, data)) = input(&inputs, data) {
                        // One that is over reads no more.
                        let _over = input.send(data).await;
                    }
                }
                Message::Close(_) => break,
                // Pings are answered by the socket itself.
                _ => {}
            }
        }
    };
    let outgoing = async {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        loop {
            let message = tokio::select! {
                message = queue.recv() => message,
                _ = pings.tick() => Some(Message::Ping(Bytes::new())),
            };
            let Some(message) = message else { break };
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _gone = sink.send(websocket::farewell()).await;
    };
    tokio::pin!(incoming);
    tokio::select! {
        () = &mut incoming => {}
        () = outgoing => {
            let _ = tokio::time::timeout(FAREWELL_MAX, incoming).await;
        }
        () = shutdown.cancelled() => {}
    }
}

/// Whom a message is for, and what it says; None for what means nothing.
fn input(inputs: &[mpsc::Sender<Bytes>], mut message: Bytes) -> Option<(&mpsc::Sender<Bytes>, Bytes)> {
    let channel = usize::from(*message.first()?);
    let data = message.split_off(1);
    // A client has nothing to say on a channel for errors.
    inputs.get(channel / 2).filter(|_| channel % 2 == 0 && !data.is_empty()).map(|input| (input, data))
}

/// One connection to a port.
async fn connect(forward: Ports, port: u16, channels: Channels, given: mpsc::Receiver<Bytes>) {
    for channel in [channels.data, channels.error] {
        if channels.say(channel, &port.to_le_bytes()).await.is_err() {
            return;
        }
    }
    let Ports { pipeline, user, namespace, pod } = &forward;
    let outcome = match pipeline.port_forward(user, namespace, pod, port, ReadVersion::Any).await {
        Ok(PodSession { session, place, .. }) => {
            let outcome = tokio::select! {
                outcome = outgoing(session.reader, &channels) => outcome,
                () = incoming(given, &session.writer) => Outcome::Exited(0),
            };
            drop(place);
            outcome
        }
        Err(status) => Outcome::Failed(status.message),
    };
    if let Outcome::Failed(why) = outcome {
        let _gone = channels.say(channels.error, forward.failure(port, &why).as_bytes()).await;
    }
}

/// Returns when the client is gone.
async fn incoming(mut given: mpsc::Receiver<Bytes>, writer: &Writer) {
    while let Some(data) = given.recv().await {
        if writer.data(Channel::Stdin, data).await.is_err() {
            // The pod's side is over, which the other direction tells.
            std::future::pending::<()>().await;
        }
    }
}

/// Returns when the pod's side is over, or the client is gone.
async fn outgoing(mut reader: Reader, channels: &Channels) -> Outcome {
    loop {
        match reader.next().await {
            Some(Ok(Frame::Data(_, data))) => {
                if channels.say(channels.data, &data).await.is_err() {
                    return Outcome::Exited(0);
                }
            }
            Some(Ok(Frame::Last(_) | Frame::Resize { .. })) => {}
            Some(Ok(Frame::End(outcome))) => return outcome,
            Some(Err(status)) => return Outcome::Failed(status.message),
            None => return Outcome::Exited(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Vec<u16>, u16> {
        let uri = format!("/x?{query}").parse().expect("is a URI");
        ports(&Parameters::parse(&uri).expect("parses")).map_err(|status| status.code)
    }

    #[test]
    fn ports_are_named_one_by_one_or_together() {
        assert_eq!(asked("ports=80&ports=443"), Ok(vec![80, 443]));
        assert_eq!(asked("ports=80,443"), Ok(vec![80, 443]));
        for bad in ["", "ports=", "ports=0", "ports=65536", "ports=http", "ports=80,", "ports=80&ports=80"] {
            assert_eq!(asked(bad), Err(400), "{bad}");
        }
        let many = |count: usize| (1..=count).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(asked(&format!("ports={}", many(PORTS_MAX))).map(|ports| ports.len()), Ok(PORTS_MAX));
        assert_eq!(asked(&format!("ports={}", many(PORTS_MAX + 1))), Err(400));
    }

    #[test]
    fn a_message_goes_to_the_port_of_its_channel() {
        let (inputs, _given): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(1)).unzip();
        let read = |bytes: &'static [u8]| input(&inputs, Bytes::from_static(bytes));
        for (message, index) in [(&b"\0one"[..], 0), (b"\x02two", 1)] {
            let (found, data) = read(message).expect("is for a port");
            assert!(found.same_channel(&inputs[index]) && data == message[1..]);
        }
        for nothing in [&b""[..], b"\0", b"\x01error", b"\x04none", b"\xffnone"] {
            assert!(read(nothing).is_none(), "{nothing:?}");
        }
    }
}
