//! A member that answers what a test tells it to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use keelson_client::proto::objects_server::{Objects, ObjectsServer};
use keelson_client::proto::watch_response::{Event, Type};
use keelson_client::{Client, Options, proto};
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The answer to one unary call.
pub enum Answer {
    Object(Value),
    Refuse(Status),
    Hang,
}

/// What one watch sends, and whether it stays open afterwards.
pub struct Script {
    pub send: Vec<Result<proto::WatchResponse, Status>>,
    pub stay_open: bool,
}

#[derive(Default)]
pub struct Played {
    pub answers: Mutex<VecDeque<Answer>>,
    pub watches: Mutex<VecDeque<Script>>,
    /// Every call: "get a", "create", "watch <resource version>".
    pub calls: Mutex<Vec<String>>,
    called: Notify,
}

impl Played {
    pub fn answer(&self, answer: Answer) {
        self.answers.lock().push_back(answer);
    }

    pub fn watch(&self, send: Vec<Result<proto::WatchResponse, Status>>, stay_open: bool) {
        self.watches.lock().push_back(Script { send, stay_open });
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    /// Returns after so many calls.
    pub async fn called(&self, count: usize) {
        loop {
            let called = self.called.notified();
            if self.calls.lock().len() >= count {
                return;
            }
            called.await;
        }
    }

    async fn next(&self, call: String) -> Result<proto::Object, Status> {
        self.calls.lock().push(call);
        self.called.notify_one();
        let answer = self.answers.lock().pop_front();
        match answer {
            Some(Answer::Object(value)) => Ok(object(&value)),
            Some(Answer::Refuse(status)) => Err(status),
            Some(Answer::Hang) => std::future::pending().await,
            None => Err(Status::internal("the script is over")),
        }
    }
}

pub struct Member {
    pub address: SocketAddr,
    pub played: Arc<Played>,
    /// Its own, so that dropping the member breaks the connections that it has accepted, as the end of a process does.
    runtime: Option<Runtime>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Member {
    pub async fn start() -> Self {
        Self::serve(Server::builder()).await
    }

    pub async fn start_with_tls(tls: ServerTlsConfig) -> Self {
        Self::serve(Server::builder().tls_config(tls).expect("the certificates are valid")).await
    }

    async fn serve(mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let played = Arc::new(Played::default());
        let service = ObjectsServer::new(Service(played.clone()));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = listener.into_std().expect("the listener is idle");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("the listener is bound");
            let served = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await;
            served.expect("the server runs until it is aborted");
        });
        Self { address, played, runtime: Some(runtime) }
    }
}

/// A way to a member that can be frozen: connections stay open and nothing goes through, as with a stopped process.
pub async fn freezable(member: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let (frozen, state) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut state = state.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(member).await.expect("the member listens");
                let freeze = async { state.wait_for(|frozen| *frozen).await.is_ok() };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                    _ = freeze => {}
                }
                std::future::pending::<()>().await;
            });
        }
    });
    (address, frozen)
}

/// A port that nobody listens on.
pub async fn dead_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("the socket is bound");
    // As long as the process has it, nobody else gets the port.
    std::mem::forget(socket);
    address
}

pub fn client(addresses: &[SocketAddr]) -> Client {
    let options = Options {
        request_timeout: PATIENCE,
        unreachable_timeout: Duration::from_millis(300),
        ..Options::new(addresses.iter().map(ToString::to_string))
    };
    Client::connect(options).expect("the options are valid")
}

pub fn object(value: &Value) -> proto::Object {
    proto::Object { json: value.to_string().into() }
}

pub fn pod(name: &str, resource_version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "resourceVersion": resource_version.to_string(), "labels": {"app": name},
        },
    })
}

/// A refusal as the API tells it.
pub fn refusal(code: Code, detail: proto::Status) -> Status {
    let message = detail.message.clone();
    let any = prost_types_any(&detail);
    let rich = RpcStatus { code: code.into(), message: message.clone(), details: vec![any] };
    Status::with_details(code, message, rich.encode_to_vec().into())
}

pub fn reason(code: Code, reason: &str) -> Status {
    refusal(code, proto::Status { reason: reason.into(), message: format!("it is {reason}"), ..Default::default() })
}

fn prost_types_any(detail: &proto::Status) -> Any {
    Any { type_url: "type.googleapis.com/keelson.api.v1.Status".into(), value: detail.encode_to_vec() }
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

pub fn batch(events: &[(Type, Value)], resource_version: u64) -> Result<proto::WatchResponse, Status> {
    let events =
        events.iter().map(|(kind, value)| Event { r#type: (*kind).into(), object: Some(object(value)) }).collect();
    let resource_version = resource_version.to_string();
    Ok(proto::WatchResponse { events, resource_version, ..proto::WatchResponse::default() })
}

pub fn initial_end(resource_version: u64) -> Result<proto::WatchResponse, Status> {
    Ok(proto::WatchResponse {
        events: vec![Event { r#type: Type::Bookmark.into(), object: None }],
        resource_version: resource_version.to_string(),
        initial_events_end: true,
        ..proto::WatchResponse::default()
    })
}

struct Service(Arc<Played>);

fn name(name: Option<proto::ObjectName>) -> String {
    name.map(|name| name.name).unwrap_or_default()
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Objects for Service {
    type ListStream = Pin<Box<dyn Stream<Item = Result<proto::ListResponse, Status>> + Send>>;
    type WatchStream = Pin<Box<dyn Stream<Item = Result<proto::WatchResponse, Status>> + Send>>;

    async fn get(&self, request: Request<proto::GetRequest>) -> Answered<proto::GetResponse> {
        let object = self.0.next(format!("get {}", name(request.into_inner().name))).await?;
        Ok(Response::new(proto::GetResponse { object: Some(object), ..proto::GetResponse::default() }))
    }

    async fn create(&self, request: Request<proto::CreateRequest>) -> Answered<proto::CreateResponse> {
        let object = self.0.next(format!("create {}", name(request.into_inner().name))).await?;
        Ok(Response::new(proto::CreateResponse { object: Some(object), warnings: vec![] }))
    }

    async fn list(&self, _: Request<proto::ListRequest>) -> Answered<Self::ListStream> {
        self.0.calls.lock().push("list".into());
        let answers: Vec<Answer> = self.0.answers.lock().drain(..).collect();
        let chunks = answers.into_iter().map(|answer| match answer {
            Answer::Object(value) => Ok(proto::ListResponse {
                objects: vec![object(&value)],
                resource_version: "7".into(),
                ..proto::ListResponse::default()
            }),
            Answer::Refuse(status) => Err(status),
            Answer::Hang => Err(Status::internal("a list does not hang")),
        });
        Ok(Response::new(futures::stream::iter(chunks.collect::<Vec<_>>()).boxed()))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answered<Self::WatchStream> {
        self.0.calls.lock().push(format!("watch {}", request.into_inner().resource_version));
        let Some(script) = self.0.watches.lock().pop_front() else {
            return Ok(Response::new(futures::stream::pending().boxed()));
        };
        let sent = futures::stream::iter(script.send);
        let stream = if script.stay_open { sent.chain(futures::stream::pending()).boxed() } else { sent.boxed() };
        Ok(Response::new(stream))
    }

    async fn update(&self, _: Request<proto::UpdateRequest>) -> Answered<proto::UpdateResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn apply(&self, _: Request<proto::ApplyRequest>) -> Answered<proto::ApplyResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn server_side_apply(
        &self,
        _: Request<proto::ServerSideApplyRequest>,
    ) -> Answered<proto::ServerSideApplyResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn patch(&self, request: Request<proto::PatchRequest>) -> Answered<proto::PatchResponse> {
        let request = request.into_inner();
        let patch: Value = serde_json::from_slice(&request.patch).expect("the client sends JSON");
        let object = self.0.next(format!("patch {} count {}", name(request.name), patch["count"])).await?;
        Ok(Response::new(proto::PatchResponse { object: Some(object), warnings: vec![] }))
    }

    async fn delete(&self, _: Request<proto::DeleteRequest>) -> Answered<proto::DeleteResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn delete_collection(
        &self,
        _: Request<proto::DeleteCollectionRequest>,
    ) -> Answered<proto::DeleteCollectionResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn write(&self, request: Request<proto::WriteRequest>) -> Answered<proto::WriteResponse> {
        let request = request.into_inner();
        let options = request.options.unwrap_or_default();
        let call =
            format!("write {} by {} in term {}", request.operations.len(), options.field_manager, options.fence_term);
        let object = self.0.next(call).await?;
        let objects = vec![object, proto::Object::default()];
        Ok(Response::new(proto::WriteResponse { objects, resource_version: "12".into() }))
    }
}
