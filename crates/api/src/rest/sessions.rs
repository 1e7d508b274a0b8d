//! Sessions with pods over REST: exec, attach and port-forward. A request is checked whole, then its connection is taken out of HTTP
//! and speaks one of four protocols:
//!
//! | protocol | asked for by | for |
//! |---|---|---|
//! | WebSocket, a byte before each message says its channel | `Upgrade: websocket`, `v5.channel.k8s.io` or `v4.channel.k8s.io` | exec, attach |
//! | WebSocket, likewise ([`forward_channels`]) | `Upgrade: websocket`, `v4.channel.k8s.io` | port-forward |
//! | SPDY/3.1 ([`spdy`]) | `Upgrade: SPDY/3.1`, `X-Stream-Protocol-Version: v4.channel.k8s.io` or `portforward.k8s.io` | all |
//! | SPDY/3.1 inside of a WebSocket | `Upgrade: websocket`, `SPDY/3.1+portforward.k8s.io` | port-forward |
//!
//! **Invariant**: what can be refused before the upgrade is refused as any other request, by a Status with its code. Afterwards only the
//! session's own error channel tells. A session holds its place among the server's until both sides are done.

mod client;
mod forward;
mod forward_channels;
mod outcome;
mod spdy;
mod spdy_client;
mod upgrade;
mod websocket;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use keelson_types::status::Status;

use super::parameters::Parameters;
use super::path::Session;
use crate::pipeline::{ExecRequest, Pipeline, User};
use upgrade::Protocol;

/// GET or POST of `pods/<name>/exec` and the like.
pub(super) async fn serve(
    pipeline: &Arc<Pipeline>,
    user: &Arc<User>,
    what: Session,
    namespace: String,
    pod: String,
    mut request: Request,
) -> Result<Response, Status> {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return Err(Status::method_not_allowed());
    }
    let parameters = Parameters::parse(request.uri())?;
    let protocol = upgrade::protocol(request.headers(), what)?;
    if what == Session::PortForward {
        // Over SPDY each stream names its port.
        let numbers = match protocol {
            Protocol::ForwardChannels => forward_channels::ports(&parameters)?,
            _ => Vec::new(),
        };
        let (response, connection) = upgrade::begin(&mut request, protocol)?;
        let place = pipeline.may_forward(user, &namespace, &pod).await?;
        let ports = forward::Ports { pipeline: pipeline.clone(), user: user.clone(), namespace, pod };
        tokio::spawn(async move {
            let Some(io) = connection.await else { return };
            match protocol {
                Protocol::ForwardChannels => forward_channels::serve(ports, io, numbers).await,
                Protocol::SpdyInWebSocket => ports.serve(websocket::tunnel(io).await).await,
                _ => ports.serve(io).await,
            }
            drop(place);
        });
        return Ok(response);
    }
    let asked = exec_request(&parameters, namespace, pod)?;
    // First whether the connection can be used at all: a command must not run for a client that will not see it.
    let (response, connection) = upgrade::begin(&mut request, protocol)?;
    let session = match what {
        Session::Exec => pipeline.exec(user, asked.clone()).await?,
        _ => pipeline.attach(user, asked.clone()).await?,
    };
    tokio::spawn(async move {
        let Some(io) = connection.await else { return };
        match protocol {
            Protocol::Channels { closes } => client::run(websocket::Channels::new(io, closes).await, session).await,
            _ => {
                if let Some(client) = spdy_client::Streams::gather(io, &asked).await {
                    client::run(client, session).await;
                }
            }
        }
    });
    Ok(response)
}

fn exec_request(parameters: &Parameters, namespace: String, pod: String) -> Result<ExecRequest, Status> {
    Ok(ExecRequest {
        namespace,
        pod,
        container: parameters.get("container").unwrap_or_default().to_owned(),
        command: parameters.all("command").map(str::to_owned).collect(),
        stdin: parameters.flag("stdin")?,
        stdout: parameters.flag("stdout")?,
        stderr: parameters.flag("stderr")?,
        tty: parameters.flag("tty")?,
    })
}
