//! `keelson.api.v1.Pods`.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use keelson_proto::keelson::api::v1::pods_server::Pods;
use keelson_proto::keelson::api::v1::{
    AttachRequest, AttachResponse, ExecRequest, ExecResponse, LogsRequest, LogsResponse, PortForwardRequest,
    PortForwardResponse, attach_request, attach_response, exec_request, exec_response, port_forward_request,
};
use keelson_sessions::Outcome;
use keelson_types::status::{Reason, Status};
use tonic::{Code, Request, Response, Streaming};

use super::sessions::{self, Responses, Said, Told};
use super::user;
use crate::pipeline::{Pipeline, ReadVersion};
use crate::status_code::{grpc, grpc_with};

pub struct Service {
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>) -> Service {
        Service { pipeline }
    }
}

/// Kubernetes tells a container that has not started as BadRequest; here that is a state, not a mistake.
fn told(status: &Status) -> tonic::Status {
    let waits = status.reason == Reason::BadRequest && status.message.contains("is waiting to start");
    if waits { grpc_with(Code::FailedPrecondition, status) } else { grpc(status) }
}

#[tonic::async_trait]
impl Pods for Service {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<LogsResponse, tonic::Status>> + Send>>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let logs = self.pipeline.logs(&user, request.into_inner()).await.map_err(|status| told(&status))?;
        let chunks = stream::unfold(logs, |mut logs| async move {
            let chunk = logs.next().await?;
            let response = chunk.map(|data| LogsResponse { data }).map_err(|status| grpc(&status));
            Some((response, logs))
        });
        Ok(Response::new(Box::pin(chunks)))
    }

    type ExecStream = Responses<ExecResponse>;

    async fn exec(
        &self,
        request: Request<Streaming<ExecRequest>>,
    ) -> Result<Response<Self::ExecStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let mut requests = request.into_inner();
        let start = sessions::start(&mut requests, |first| match first.message {
            Some(exec_request::Message::Start(start)) => Some(start),
            _ => None,
        });
        let start = start.await?;
        let asked = sessions::exec_request(start.session.unwrap_or_default(), start.command);
        let session = self.pipeline.exec(&user, asked).await.map_err(|status| sessions::told(&status))?;
        let said = |request: ExecRequest| match request.message? {
            exec_request::Message::Stdin(data) => Some(Said::Stdin(data)),
            exec_request::Message::StdinEnd(last) => last.then_some(Said::StdinLast),
            exec_request::Message::Resize(size) => Some(Said::Resize { columns: size.columns, rows: size.rows }),
            exec_request::Message::Start(_) => None,
        };
        Ok(Response::new(sessions::run(session, requests, said, |told| {
            let message = match told {
                Told::Stdout(data) => exec_response::Message::Stdout(data),
                Told::Stderr(data) => exec_response::Message::Stderr(data),
                Told::End(outcome) => exec_response::Message::End(sessions::result(outcome)),
                Told::Broken(status) => return Some(Err(grpc(&status))),
            };
            Some(Ok(ExecResponse { message: Some(message) }))
        })))
    }

    type AttachStream = Responses<AttachResponse>;

    async fn attach(
        &self,
        request: Request<Streaming<AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let mut requests = request.into_inner();
        let start = sessions::start(&mut requests, |first| match first.message {
            Some(attach_request::Message::Start(start)) => Some(start),
            _ => None,
        });
        let asked = sessions::exec_request(start.await?, Vec::new());
        let session = self.pipeline.attach(&user, asked).await.map_err(|status| sessions::told(&status))?;
        let said = |request: AttachRequest| match request.message? {
            attach_request::Message::Stdin(data) => Some(Said::Stdin(data)),
            attach_request::Message::StdinEnd(last) => last.then_some(Said::StdinLast),
            attach_request::Message::Resize(size) => Some(Said::Resize { columns: size.columns, rows: size.rows }),
            attach_request::Message::Start(_) => None,
        };
        Ok(Response::new(sessions::run(session, requests, said, |told| {
            let message = match told {
                Told::Stdout(data) => attach_response::Message::Stdout(data),
                Told::Stderr(data) => attach_response::Message::Stderr(data),
                Told::End(outcome) => attach_response::Message::End(sessions::result(outcome)),
                Told::Broken(status) => return Some(Err(grpc(&status))),
            };
            Some(Ok(AttachResponse { message: Some(message) }))
        })))
    }

    type PortForwardStream = Responses<PortForwardResponse>;

    async fn port_forward(
        &self,
        request: Request<Streaming<PortForwardRequest>>,
    ) -> Result<Response<Self::PortForwardStream>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let mut requests = request.into_inner();
        let start = sessions::start(&mut requests, |first| match first.message {
            Some(port_forward_request::Message::Start(start)) => Some(start),
            _ => None,
        });
        let start = start.await?;
        let port = u16::try_from(start.port).ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| grpc(&Status::bad_request("port must be from 1 to 65535")))?;
        let session =
            self.pipeline.port_forward(&user, &start.namespace, &start.pod, port, ReadVersion::MostRecent).await;
        let session = session.map_err(|status| sessions::told(&status))?;
        let said = |request: PortForwardRequest| match request.message? {
            port_forward_request::Message::Data(data) => Some(Said::Stdin(data)),
            port_forward_request::Message::Start(_) => None,
        };
        Ok(Response::new(sessions::run(session, requests, said, |told| match told {
            Told::Stdout(data) | Told::Stderr(data) => Some(Ok(PortForwardResponse { data })),
            Told::End(Outcome::Exited(_)) => None,
            Told::End(Outcome::Failed(why)) => Some(Err(grpc(&Status::unavailable(why)))),
            Told::Broken(status) => Some(Err(grpc(&status))),
        })))
    }
}
