//! Enough of the API for keelctl: objects in a map, and watches on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{Stream, StreamExt};
use keelson_client::proto;
use keelson_client::proto::apply_response::Outcome;
use keelson_client::proto::kinds_server::{Kinds, KindsServer};
use keelson_client::proto::objects_server::{Objects, ObjectsServer};
use keelson_client::proto::watch_response::{Event, Type};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

/// Resource, namespace, name.
type Key = (String, String, String);

pub struct Api {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    objects: Mutex<BTreeMap<Key, Value>>,
    changes: broadcast::Sender<(Type, Key, Value)>,
    /// The resource that was watched last.
    watched: watch::Sender<String>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::start_with(None, false).await
    }

    /// With kinds that users have defined: their names as people write them, and what is told of each.
    pub async fn with_kinds(kinds: Vec<(&'static [&'static str], proto::Kind)>) -> Self {
        Self::start_with(Some(kinds), false).await
    }

    /// With kinds that are served at the third look after their definition is there.
    pub async fn with_kinds_to_come(kinds: Vec<(&'static [&'static str], proto::Kind)>) -> Self {
        Self::start_with(Some(kinds), true).await
    }

    async fn start_with(kinds: Option<Vec<(&'static [&'static str], proto::Kind)>>, to_come: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (changes, _) = broadcast::channel(100);
        let state = Arc::new(State { objects: Mutex::default(), changes, watched: watch::Sender::default() });
        let service = ObjectsServer::new(Service(state.clone()));
        let looks = to_come.then(|| (state.clone(), AtomicUsize::new(0)));
        let task = tokio::spawn(async move {
            let kinds = kinds.map(|kinds| KindsServer::new(Told(kinds, looks)));
            let server = tonic::transport::Server::builder().add_service(service).add_optional_service(kinds);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves until it is aborted");
        });
        Self { address, state, task }
    }

    pub fn is_empty(&self) -> bool {
        self.state.lock().is_empty()
    }

    /// Returns when somebody watches the resource.
    pub async fn watched(&self, resource: &str) {
        self.state.watched.subscribe().wait_for(|watched| watched == resource).await.expect("the state lives");
    }

    /// Has an object from now on.
    pub fn put(&self, resource: &str, namespace: &str, name: &str, object: Value) {
        self.state.lock().insert((resource.to_owned(), namespace.to_owned(), name.to_owned()), object);
    }

    pub fn change(&self, resource: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut objects = self.state.lock();
        let object = objects.get_mut(&key).expect("it exists");
        change(object);
        let _nobody = self.state.changes.send((Type::Modified, key, object.clone()));
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Value>> {
        self.objects.lock().expect("no test panics with it")
    }
}

fn key(name: Option<proto::ObjectName>) -> Key {
    let name = name.unwrap_or_default();
    let resource = name.resource.unwrap_or_default();
    // Measurements have the plurals of what is measured.
    let is_measured = resource.group == "metrics.k8s.io";
    let plural = if is_measured { format!("{}.{}", resource.resource, resource.group) } else { resource.resource };
    (plural, name.namespace, name.name)
}

fn value(object: Option<proto::Object>) -> Value {
    serde_json::from_slice(&object.unwrap_or_default().json).expect("keelctl sends JSON")
}

fn object(value: &Value) -> proto::Object {
    proto::Object { json: value.to_string().into() }
}

fn refuse(code: Code, reason: &str, message: String) -> Status {
    let retry_after_seconds = if reason == "TooManyRequests" { 10 } else { 0 };
    let detail =
        proto::Status { reason: reason.into(), message: message.clone(), retry_after_seconds, ..Default::default() };
    let any = Any { type_url: "type.googleapis.com/keelson.api.v1.Status".into(), value: detail.encode_to_vec() };
    let rich = RpcStatus { code: code.into(), message: message.clone(), details: vec![any] };
    Status::with_details(code, message, rich.encode_to_vec().into())
}

fn not_found((resource, _, name): &Key) -> Status {
    refuse(Code::NotFound, "NotFound", format!("{resource} {name:?} not found"))
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

struct Service(Arc<State>);

/// Kinds by the words that mean them, and how often was looked for those to come.
struct Told(Vec<(&'static [&'static str], proto::Kind)>, Option<(Arc<State>, AtomicUsize)>);

impl Told {
    fn is_served(&self, kind: &proto::Kind) -> bool {
        let Some((state, looks)) = &self.1 else { return true };
        let definition =
            ("customresourcedefinitions".to_owned(), String::new(), format!("{}.{}", kind.plural, kind.group));
        state.lock().contains_key(&definition) && looks.fetch_add(1, Ordering::Relaxed) >= 2
    }
}

#[tonic::async_trait]
impl Kinds for Told {
    async fn list(&self, request: Request<proto::ListKindsRequest>) -> Answered<proto::ListKindsResponse> {
        let proto::ListKindsRequest { word, schemas } = request.into_inner();
        let meant = self.0.iter().filter(|(words, _)| word.is_empty() || words.contains(&word.as_str()));
        let meant = meant.filter(|(_, kind)| self.is_served(kind));
        let kinds = meant.map(|(_, kind)| {
            let schema = if schemas { kind.schema.clone() } else { Vec::new().into() };
            proto::Kind { schema, ..kind.clone() }
        });
        Ok(Response::new(proto::ListKindsResponse { kinds: kinds.collect() }))
    }

    async fn count(&self, _: Request<proto::CountKindsRequest>) -> Answered<proto::CountKindsResponse> {
        Err(Status::unimplemented("keelctl does not ask for it"))
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        match value {
            Value::Null => {
                object.as_object_mut().expect("it is one").remove(name);
            }
            value => merge(&mut object[name.as_str()], value),
        }
    }
}

/// Whether a list or watch of `wanted` with these fields shows the object.
fn selected(wanted: &Key, fields: &str, key: &Key) -> bool {
    let name = fields.strip_prefix("metadata.name=");
    key.0 == wanted.0 && (wanted.1.is_empty() || key.1 == wanted.1) && name.is_none_or(|name| key.2 == name)
}

impl Service {
    /// An object goes only after somebody has watched it go.
    fn remove(&self, key: Key, value: Value) {
        let state = self.0.clone();
        tokio::spawn(async move {
            let mut watched = state.watched.subscribe();
            let seen = watched.wait_for(|watched| *watched == key.0).await.is_ok();
            assert!(seen, "the state lives");
            state.lock().remove(&key);
            let _nobody = state.changes.send((Type::Deleted, key, value));
        });
    }

    /// As often as the pod's annotation says, its budget forbids it first. The answer has no object, as that of the real one.
    fn evict(&self, request: proto::CreateRequest) -> Answered<proto::CreateResponse> {
        let (key, eviction) = (key(request.name), value(request.object));
        let found = {
            let mut objects = self.0.lock();
            let found = objects.get_mut(&key).ok_or_else(|| not_found(&key))?;
            let uid = &eviction["deleteOptions"]["preconditions"]["uid"];
            assert_eq!((&eviction["kind"], uid), (&json!("Eviction"), &found["metadata"]["uid"]));
            let forbidden = &mut found["metadata"]["annotations"]["forbidden"];
            if let Some(times @ 1..) = forbidden.as_str().and_then(|times| times.parse::<u32>().ok()) {
                *forbidden = json!((times - 1).to_string());
                return Err(refuse(Code::ResourceExhausted, "TooManyRequests", "a budget forbids it".into()));
            }
            found.clone()
        };
        self.remove(key, found);
        Ok(Response::new(proto::CreateResponse { object: Some(proto::Object::default()), warnings: vec![] }))
    }
}

type Answered<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Objects for Service {
    type ListStream = Streamed<proto::ListResponse>;
    type WatchStream = Streamed<proto::WatchResponse>;

    async fn get(&self, request: Request<proto::GetRequest>) -> Answered<proto::GetResponse> {
        let key = key(request.into_inner().name);
        let objects = self.0.lock();
        let found = objects.get(&key).ok_or_else(|| not_found(&key))?;
        Ok(Response::new(proto::GetResponse { object: Some(object(found)), ..proto::GetResponse::default() }))
    }

    async fn list(&self, request: Request<proto::ListRequest>) -> Answered<Self::ListStream> {
        let request = request.into_inner();
        let wanted = key(request.name);
        let objects = self.0.lock();
        let found = objects.iter().filter(|(key, _)| selected(&wanted, &request.field_selector, key));
        let chunk = proto::ListResponse {
            objects: found.map(|(_, value)| object(value)).collect(),
            resource_version: "1".into(),
            ..proto::ListResponse::default()
        };
        Ok(Response::new(futures::stream::iter([Ok(chunk)]).boxed()))
    }

    async fn create(&self, request: Request<proto::CreateRequest>) -> Answered<proto::CreateResponse> {
        let request = request.into_inner();
        if request.name.as_ref().is_some_and(|name| name.subresource == "eviction") {
            return self.evict(request);
        }
        let (key, value) = (key(request.name), value(request.object));
        let mut objects = self.0.lock();
        if objects.contains_key(&key) {
            let message = format!("{} {:?} already exists", key.0, key.2);
            return Err(refuse(Code::AlreadyExists, "AlreadyExists", message));
        }
        objects.insert(key, value.clone());
        Ok(Response::new(proto::CreateResponse { object: Some(object(&value)), warnings: vec![] }))
    }

    /// Whoever is not "owner" has a conflict about what is there, unless it forces.
    async fn server_side_apply(
        &self,
        request: Request<proto::ServerSideApplyRequest>,
    ) -> Answered<proto::ServerSideApplyResponse> {
        use proto::server_side_apply_response::Outcome;
        let request = request.into_inner();
        let manager = request.options.map(|options| options.field_manager).unwrap_or_default();
        let (key, value) = (key(request.name), value(request.object));
        let mut objects = self.0.lock();
        if objects.contains_key(&key) && manager != "owner" && !request.force {
            let message = "Apply failed with 1 conflict: conflict with \"owner\": .data.x".to_owned();
            return Err(refuse(Code::Aborted, "Conflict", message));
        }
        let (object, outcome) = (Some(object(&value)), Outcome::Configured.into());
        objects.insert(key, value);
        Ok(Response::new(proto::ServerSideApplyResponse { object, outcome, warnings: vec![] }))
    }

    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Answered<proto::ApplyResponse> {
        let request = request.into_inner();
        let (key, mut value) = (key(request.name), value(request.object));
        if key.2 == "refused" {
            return Err(refuse(Code::InvalidArgument, "Invalid", "it is refused".into()));
        }
        value["metadata"]["uid"] = json!(key.2);
        if request.options.is_some_and(|options| options.dry_run) {
            let object = Some(object(&value));
            return Ok(Response::new(proto::ApplyResponse {
                object,
                outcome: Outcome::Configured.into(),
                warnings: vec![],
            }));
        }
        let old = self.0.lock().insert(key, value.clone());
        let outcome = match old {
            None => Outcome::Created,
            Some(old) if old == value => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        };
        let answer = proto::ApplyResponse { object: Some(object(&value)), outcome: outcome.into(), warnings: vec![] };
        Ok(Response::new(answer))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Answered<proto::DeleteResponse> {
        let key = key(request.into_inner().name);
        let found = self.0.lock().get(&key).cloned().ok_or_else(|| not_found(&key))?;
        self.remove(key, found.clone());
        Ok(Response::new(proto::DeleteResponse { object: Some(object(&found)), ..proto::DeleteResponse::default() }))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answered<Self::WatchStream> {
        let request = request.into_inner();
        let (wanted, fields) = (key(request.name), request.field_selector);
        let receiver = self.0.changes.subscribe();
        let message = |events, initial_events_end| {
            let resource_version = "1".into();
            Ok(proto::WatchResponse { events, resource_version, initial_events_end, ..proto::WatchResponse::default() })
        };
        let event = |kind: Type, value: &Value| Event { r#type: kind.into(), object: Some(object(value)) };
        let objects = self.0.lock();
        let present = objects.iter().filter(|(key, _)| selected(&wanted, &fields, key));
        let present = present.map(|(_, value)| event(Type::Added, value)).collect();
        let initial = futures::stream::iter([message(present, false), message(vec![], true)]);
        drop(objects);
        self.0.watched.send_replace(wanted.0.clone());
        let live = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.ok().map(|change| (change, receiver))
        });
        let live = live.filter_map(move |(kind, key, value)| {
            let shown = selected(&wanted, &fields, &key).then(|| message(vec![event(kind, &value)], false));
            async move { shown }
        });
        Ok(Response::new(initial.chain(live).boxed()))
    }

    async fn update(&self, request: Request<proto::UpdateRequest>) -> Answered<proto::UpdateResponse> {
        let request = request.into_inner();
        let (key, value) = (key(request.name), value(request.object));
        if value["data"]["x"] == "refused" {
            return Err(refuse(Code::InvalidArgument, "Invalid", "it is refused".into()));
        }
        self.0.lock().insert(key, value.clone());
        Ok(Response::new(proto::UpdateResponse { object: Some(object(&value)), ..Default::default() }))
    }

    /// Every patch is merged by RFC 7386.
    async fn patch(&self, request: Request<proto::PatchRequest>) -> Answered<proto::PatchResponse> {
        let request = request.into_inner();
        let key = key(request.name);
        let patch: Value = serde_json::from_slice(&request.patch).expect("keelctl sends JSON");
        let mut objects = self.0.lock();
        let found = objects.get_mut(&key).ok_or_else(|| not_found(&key))?;
        let before = found.clone();
        merge(found, &patch);
        if *found != before {
            let version = before["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok());
            found["metadata"]["resourceVersion"] = json!((version.unwrap_or(1_u64) + 1).to_string());
        }
        let found = found.clone();
        let _nobody = self.0.changes.send((Type::Modified, key, found.clone()));
        Ok(Response::new(proto::PatchResponse { object: Some(object(&found)), ..Default::default() }))
    }

    async fn delete_collection(
        &self,
        _: Request<proto::DeleteCollectionRequest>,
    ) -> Answered<proto::DeleteCollectionResponse> {
        Err(Status::unimplemented("keelctl deletes one by one"))
    }

    async fn write(&self, _: Request<proto::WriteRequest>) -> Answered<proto::WriteResponse> {
        Err(Status::unimplemented("keelctl does not batch"))
    }
}
