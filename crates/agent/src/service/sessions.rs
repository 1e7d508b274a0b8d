//! Sessions as the members ask for them, handed to the runtime.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use keelson_client::reflector::Cache;
use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{Attach, Container, Exec, PortForward, Streams, TunnelRequest};
use keelson_sessions::{Channel, Outcome, Receiver, Sender};

use super::{Runtimes, usage};
use crate::node;
use crate::runtime::{ContainerId, Io, Runtime as _};
use crate::tunnel::Open;

/// Begins sessions with what the runtime runs.
pub fn opener(runtime: Runtimes, nodes: Cache<Node>) -> Open {
    Arc::new(move |node, what, input, output| match what {
        What::Exec(Exec { container, command, streams }) => {
            let io = io(streams.unwrap_or_default(), input, output);
            let running = runtime.read().exec(&id(container.as_ref()), &command, io);
            running.map_err(|why| format!("error executing command in container: {why}"))
        }
        What::Attach(Attach { container, streams }) => {
            let io = io(streams.unwrap_or_default(), input, output);
            runtime.read().attach(&id(container.as_ref()), io)
        }
        What::PortForward(PortForward { pod_uid, port, .. }) => {
            let streams = Streams { stdin: true, stdout: true, ..Streams::default() };
            let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
            runtime.read().port_forward(&pod_uid, port, io(streams, input, output))
        }
        What::Usage(_) => {
            // A machine that has failed says nothing.
            if nodes.get("", node).is_none_or(|node| node::is_dead(&node)) {
                return Err(format!("node {node:?} does not answer"));
            }
            let now = Timestamp::now();
            let answer = usage::encode(&runtime.read().usage(node, now), now);
            Ok(Box::pin(async move {
                match output.data(Channel::Stdout, answer).await {
                    Ok(()) => Outcome::Exited(0),
                    Err(closed) => Outcome::Failed(closed.to_string()),
                }
            }))
        }
        // The tunnel answers it itself.
        What::Logs(_) => Err("a log is no session of the runtime".to_owned()),
    })
}

fn io(streams: Streams, input: Receiver<TunnelRequest>, output: Sender<TunnelRequest>) -> Io {
    let Streams { stdin, stdout, stderr, tty } = streams;
    Io { input, output, stdin, stdout, stderr, tty }
}

fn id(container: Option<&Container>) -> ContainerId {
    let (pod_uid, name) = container.map(|known| (known.pod_uid.clone(), known.name.clone())).unwrap_or_default();
    ContainerId { pod_uid, name }
}
