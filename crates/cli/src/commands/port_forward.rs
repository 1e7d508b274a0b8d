//! `port-forward`: ports of a pod as ports of this machine.

use std::io::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use clap::Args;
use keelson_client::{Client, proto};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Error;
use crate::context::Context;
use crate::pod;
use crate::render::{items, text};

/// Connections at once.
const CONNECTIONS_MAX: usize = 256;
const BUFFER_BYTES: usize = 32 << 10;

const EXAMPLES: &str = "\
Examples:
  keelctl port-forward web-1 8080:80
  keelctl port-forward service/web 8080:http :443";

/// Reach ports of a pod from this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PortForward {
    /// A pod, or KIND/NAME of something that has pods: one of them is chosen
    #[arg(value_name = "POD")]
    pod: String,

    /// [LOCAL:]REMOTE; with an empty LOCAL a free one is taken
    #[arg(required = true, value_name = "PORT")]
    ports: Vec<String>,

    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    address: String,
}

impl PortForward {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let (object, of_object) = pod::find_with(&self.pod, context).await?;
        let pod = of_object.as_ref().unwrap_or(&object);
        let phase = text(&pod["status"]["phase"]);
        if phase != "Running" {
            let message = format!("unable to forward port because pod is not running. Current status={phase}");
            return Err(Error::Failed(message));
        }
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut listening = JoinSet::new();
        for asked in &self.ports {
            let (local, remote) = asked.split_once(':').unwrap_or((asked, asked));
            let remote = remote_port(&object, pod, remote)?;
            let local: u16 = match local {
                "" => 0,
                name if name == asked.as_str() => remote,
                number => number.parse().map_err(|_| Error::Usage(format!("{number:?} is no port")))?,
            };
            let listener = TcpListener::bind((self.address.as_str(), local)).await;
            let listener =
                listener.map_err(|error| Error::Failed(format!("unable to listen on port {local}: {error}")))?;
            let bound = listener.local_addr().map_err(Error::Output)?;
            context.line(format!("Forwarding from {bound} -> {remote}"))?;
            let start = proto::PortForwardStart {
                namespace: text(&pod["metadata"]["namespace"]),
                pod: text(&pod["metadata"]["name"]),
                port: remote.into(),
            };
            listening.spawn(listen(listener, bound.port(), start, context.client()?, places.clone()));
        }
        // They end only with the process.
        while listening.join_next().await.is_some() {}
        Ok(())
    }
}

/// A port of the pod: a number, a name of one of its ports, or a port of the service that chose it.
fn remote_port(object: &Value, pod: &Value, asked: &str) -> Result<u16, Error> {
    let service = items(&object["spec"]["ports"])
        .iter()
        .find(|port| text(&port["port"]) == asked || (!text(&port["name"]).is_empty() && text(&port["name"]) == asked));
    let wanted = match service {
        Some(port) if !port["targetPort"].is_null() => text(&port["targetPort"]),
        Some(port) => text(&port["port"]),
        None => asked.to_owned(),
    };
    if let Ok(port @ 1..) = wanted.parse() {
        return Ok(port);
    }
    let containers = items(&pod["spec"]["containers"]).iter();
    let named = containers.flat_map(|container| items(&container["ports"])).find(|port| text(&port["name"]) == wanted);
    let number = named.and_then(|port| port["containerPort"].as_u64()).and_then(|port| u16::try_from(port).ok());
    number.ok_or_else(|| Error::Usage(format!("{asked:?} is neither a port nor the name of one of the pod's")))
}

async fn listen(
    listener: TcpListener,
    local: u16,
    start: proto::PortForwardStart,
    client: Client,
    places: Arc<Semaphore>,
) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        // Connections are carried also when nobody reads about them any more.
        let _ = writeln!(std::io::stdout(), "Handling connection for {local}");
        let (client, start) = (client.clone(), start.clone());
        tokio::spawn(async move {
            if let Err(error) = carry(stream, client, start).await {
                let _ = writeln!(std::io::stderr(), "error: forwarding {local}: {error}");
            }
            drop(place);
        });
    }
}

/// Carries one connection's bytes both ways.
async fn carry(stream: TcpStream, client: Client, start: proto::PortForwardStart) -> Result<(), Error> {
    let mut forwarded = client.pods_port_forward(start).await?;
    let (mut reader, mut writer) = stream.into_split();
    let (idle, _) = tokio::sync::mpsc::channel(1);
    let input = std::mem::replace(&mut forwarded.input, idle);
    let sending = tokio::spawn(async move {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        while let Ok(1..) = reader.read_buf(&mut buffer).await {
            let data = proto::port_forward_request::Message::Data(buffer.split().freeze());
            if input.send(proto::PortForwardRequest { message: Some(data) }).await.is_err() {
                break;
            }
            buffer.reserve(BUFFER_BYTES);
        }
    });
    let outcome = loop {
        match forwarded.next().await {
            Ok(Some(data)) => {
                let data: Bytes = data;
                if writer.write_all(&data).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    sending.abort();
    outcome
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_numbers_names_or_a_services() {
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}});
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80, "targetPort": "http"}, {"port": 443, "targetPort": 8443}]}});
        for (object, asked, port) in [
            (&pod, "80", Some(80)),
            (&pod, "http", Some(8080)),
            (&pod, "0", None),
            (&pod, "none", None),
            (&service, "80", Some(8080)),
            (&service, "web", Some(8080)),
            (&service, "443", Some(8443)),
            (&service, "9000", Some(9000)),
        ] {
            assert_eq!(remote_port(object, &pod, asked).ok(), port, "{asked}");
        }
    }
}
