//! Sessions with pods: commands, attaching, forwarded ports. Opened on any member that answers; once open, a session is never opened
//! again by itself.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::pods_client::PodsClient;
use keelson_proto::keelson::api::v1::{
    attach_request, attach_response, exec_request, exec_response, port_forward_request,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::error::{Refusal, decode, refusal};
use crate::transport::{Safety, Transport};
use crate::{Client, Error};

/// Messages to a member that it has not read.
const QUEUE_MAX: usize = 8;

/// The half of a session that sends. Everything waits while the other side has too much already, and is lost when the session is over,
/// which the other half tells.
pub struct SessionInput(Requests);

enum Requests {
    Exec(mpsc::Sender<proto::ExecRequest>),
    Attach(mpsc::Sender<proto::AttachRequest>),
}

/// The half of a session that receives.
pub struct SessionOutput {
    responses: Responses,
    transport: Arc<Transport>,
}

enum Responses {
    Exec(Streaming<proto::ExecResponse>),
    Attach(Streaming<proto::AttachResponse>),
}

/// What a container's side tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The last: with an exit code, or else with what went wrong.
    End(proto::SessionResult),
}

/// A connection to a port of a pod.
pub struct Forwarded {
    /// Bytes towards the pod; dropping it closes that direction.
    pub input: mpsc::Sender<proto::PortForwardRequest>,
    responses: Streaming<proto::PortForwardResponse>,
    transport: Arc<Transport>,
}

impl Client {
    /// Runs a command in a container.
    ///
    /// # Errors
    /// When it cannot begin.
    pub async fn pods_exec(&self, start: proto::ExecStart) -> Result<(SessionInput, SessionOutput), Error> {
        let transport = self.raw.transport.clone();
        let open = |channel| {
            let (sender, receiver) = mpsc::channel(QUEUE_MAX);
            let start = proto::ExecRequest { message: Some(exec_request::Message::Start(start.clone())) };
            async move {
                // There is room for the first.
                let _ = sender.send(start).await;
                let responses = PodsClient::new(channel).exec(ReceiverStream::new(receiver)).await?;
                Ok((sender, responses.into_inner()))
            }
        };
        let (sender, responses) = transport.call(Safety::Write, open).await?;
        let output = SessionOutput { responses: Responses::Exec(responses), transport: transport.clone() };
        Ok((SessionInput(Requests::Exec(sender)), output))
    }

    /// Joins a container's own process.
    ///
    /// # Errors
    /// When it cannot begin.
    pub async fn pods_attach(&self, start: proto::SessionStart) -> Result<(SessionInput, SessionOutput), Error> {
        let transport = self.raw.transport.clone();
        let open = |channel| {
            let (sender, receiver) = mpsc::channel(QUEUE_MAX);
            let start = proto::AttachRequest { message: Some(attach_request::Message::Start(start.clone())) };
            async move {
                let _ = sender.send(start).await;
                let responses = PodsClient::new(channel).attach(ReceiverStream::new(receiver)).await?;
                Ok((sender, responses.into_inner()))
            }
        };
        let (sender, responses) = transport.call(Safety::Read, open).await?;
        let output = SessionOutput { responses: Responses::Attach(responses), transport: transport.clone() };
        Ok((SessionInput(Requests::Attach(sender)), output))
    }

    /// Connects to a port of a pod.
    ///
    /// # Errors
    /// When the pod does not run. That nobody listens is told later.
    pub async fn pods_port_forward(&self, start: proto::PortForwardStart) -> Result<Forwarded, Error> {
        let transport = self.raw.transport.clone();
        let open = |channel| {
            let (sender, receiver) = mpsc::channel(QUEUE_MAX);
            let start = port_forward_request::Message::Start(start.clone());
            async move {
                let _ = sender.send(proto::PortForwardRequest { message: Some(start) }).await;
                let responses = PodsClient::new(channel).port_forward(ReceiverStream::new(receiver)).await?;
                Ok((sender, responses.into_inner()))
            }
        };
        let (input, responses) = transport.call(Safety::Read, open).await?;
        Ok(Forwarded { input, responses, transport: transport.clone() })
    }
}

impl SessionInput {
    pub async fn stdin(&self, data: Bytes) {
        match &self.0 {
            Requests::Exec(to) => exec(to, exec_request::Message::Stdin(data)).await,
            Requests::Attach(to) => attach(to, attach_request::Message::Stdin(data)).await,
        }
    }

    /// Nothing follows on standard input.
    pub async fn stdin_end(&self) {
        match &self.0 {
            Requests::Exec(to) => exec(to, exec_request::Message::StdinEnd(true)).await,
            Requests::Attach(to) => attach(to, attach_request::Message::StdinEnd(true)).await,
        }
    }

    pub async fn resize(&self, columns: u32, rows: u32) {
        let size = proto::TerminalSize { columns, rows };
        match &self.0 {
            Requests::Exec(to) => exec(to, exec_request::Message::Resize(size)).await,
            Requests::Attach(to) => attach(to, attach_request::Message::Resize(size)).await,
        }
    }
}

async fn exec(to: &mpsc::Sender<proto::ExecRequest>, message: exec_request::Message) {
    let _ = to.send(proto::ExecRequest { message: Some(message) }).await;
}

async fn attach(to: &mpsc::Sender<proto::AttachRequest>, message: attach_request::Message) {
    let _ = to.send(proto::AttachRequest { message: Some(message) }).await;
}

impl SessionOutput {
    /// What comes next; None after the end. Cancel-safe.
    ///
    /// # Errors
    /// When the session broke off.
    pub async fn next(&mut self) -> Result<Option<SessionEvent>, Error> {
        let event = match &mut self.responses {
            Responses::Exec(responses) => responses.message().await.map(|response| {
                response.and_then(|response| response.message).map(|message| match message {
                    exec_response::Message::Stdout(data) => SessionEvent::Stdout(data),
                    exec_response::Message::Stderr(data) => SessionEvent::Stderr(data),
                    exec_response::Message::End(result) => SessionEvent::End(result),
                })
            }),
            Responses::Attach(responses) => responses.message().await.map(|response| {
                response.and_then(|response| response.message).map(|message| match message {
                    attach_response::Message::Stdout(data) => SessionEvent::Stdout(data),
                    attach_response::Message::Stderr(data) => SessionEvent::Stderr(data),
                    attach_response::Message::End(result) => SessionEvent::End(result),
                })
            }),
        };
        event.map_err(|status| broken(&self.transport, status))
    }
}

impl Forwarded {
    /// The pod's next bytes; None when it has closed. Cancel-safe.
    ///
    /// # Errors
    /// When the connection was refused or broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let response = self.responses.message().await;
        response
            .map(|response| response.map(|response| response.data))
            .map_err(|status| broken(&self.transport, status))
    }
}

/// What the member says counts; otherwise it went away.
fn broken(transport: &Transport, status: tonic::Status) -> Error {
    if refusal(&status) == Refusal::Unreachable {
        return Error::Unavailable { endpoints: transport.addresses(), source: Some(status) };
    }
    Error::Api(decode(&status))
}
