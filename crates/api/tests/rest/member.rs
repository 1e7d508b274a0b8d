//! One member for one test: a store, the API's pipeline over it, and the REST router, called without a network.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use keelson_api::cache::{self, Caches, Limits};
use keelson_api::pipeline::{Identity, Peer, Pipeline, STORE_REQUEST_BYTES_MAX, STORE_TXN_OPS_MAX, Settings, User};
use keelson_api::{Options, Service, rest, tls};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::ports::free_address;
use crate::stored;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Member {
    router: Router,
    pub pipeline: Arc<Pipeline>,
    shutdown: CancellationToken,
    /// Removed when the test is over; a member that lags has none of its own.
    _folder: Option<TempDir>,
}

/// Whether a member follows the store.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// From now on the member learns nothing.
    pub fn close(&self) {
        self.0.send_replace(false);
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    /// The body, after a check of the code.
    #[track_caller]
    pub fn expect(&self, code: u16) -> Value {
        assert_eq!(self.code.as_u16(), code, "{}", self.text);
        self.json()
    }
}

impl Member {
    /// A member that is ready and has what every cluster has: that Service is its last object.
    pub async fn start() -> Member {
        let (member, service) = Member::bind().await;
        let pipeline = member.pipeline.clone();
        tokio::spawn(service.run(member.shutdown.clone()));
        let last = "/registry/services/specs/default/kubernetes";
        let revision = stored::written(pipeline.store(), last, PATIENCE).await;
        let read = format!("/api/v1/namespaces/default/services/kubernetes?resourceVersion={revision}");
        member.get(&read).await.expect(200);
        assert!(pipeline.is_ready());
        member
    }

    /// A member whose caches nobody fills.
    pub async fn unready() -> Member {
        Member::bind().await.0
    }

    /// Another member over the same store, which follows it while its gate is open; it is at first. Nobody leads by it.
    pub async fn lagging(&self) -> (Member, Gate) {
        let store = self.pipeline.store().clone();
        let caches = Caches::new(Limits { batches_max: 1000, bytes_max: 8 << 20 });
        let shutdown = self.shutdown.child_token();
        let tunnels = self.pipeline.tunnels().clone();
        let made = Pipeline::new(store.clone(), caches.clone(), tunnels, Settings::default(), shutdown.clone());
        let pipeline = Arc::new(made.expect("the kinds are registered"));
        let gate = Gate(watch::Sender::new(true));
        let mut is_open = gate.0.subscribe();
        let feed = cache::run(caches, store, shutdown.clone());
        tokio::spawn(async move {
            let mut feed = std::pin::pin!(feed);
            // The feed is run only while the gate is open; with it closed, it stands still where it is.
            while is_open.wait_for(|open| *open).await.is_ok() {
                tokio::select! {
                    biased;
                    closed = is_open.wait_for(|open| !*open) => drop(closed),
                    () = &mut feed => return,
                }
            }
        });
        let router = rest::router(rest::Published::new(pipeline.clone()));
        let member = Member { router, pipeline, shutdown, _folder: None };
        member.get("/api/v1/namespaces/default").await.expect(200);
        (member, gate)
    }

    async fn bind() -> (Member, Service) {
        let folder = tempfile::tempdir().expect("a folder");
        let files = certificates(folder.path());
        let peer_address = free_address();
        let store_options = keelson_store::Options {
            insecure_store: true,
            min_free_disk_bytes: 0,
            max_txn_ops: STORE_TXN_OPS_MAX,
            max_request_bytes: STORE_REQUEST_BYTES_MAX,
            ..keelson_store::Options::new(
                "m1",
                folder.path().join("data"),
                vec![keelson_store::Peer { name: "m1".to_owned(), address: peer_address.to_string() }],
                peer_address,
                free_address(),
                keelson_store::Tls {
                    ca: files.ca.clone(),
                    certificate: files.certificate.clone(),
                    key: files.key.clone(),
                },
            )
        };
        let (handle, store) = keelson_store::Store::open(store_options).await.expect("the store opens");
        let shutdown = CancellationToken::new();
        tokio::spawn(store.run(shutdown.clone()));
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let service = Service::bind(Options::new(any, files), handle).await.expect("the API binds");
        let pipeline = service.pipeline().clone();
        let router = rest::router(rest::Published::new(pipeline.clone()));
        (Member { router, pipeline, shutdown, _folder: Some(folder) }, service)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// A request by an administrator.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.send_as(administrator(), method, path, headers, body).await
    }

    pub async fn send_as(
        &self,
        identity: Identity,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (parts, body) = read(self.open(identity, method, path, headers, body).await).await;
        let text = String::from_utf8(body).expect("is text");
        Answer { code: parts.status, headers: parts.headers, text }
    }

    /// A request by an administrator whose answer is not text.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (http::response::Parts, Vec<u8>) {
        read(self.open(administrator(), method, path, headers, body).await).await
    }

    /// Sends a request and leaves the body to be read as it comes.
    pub async fn open(
        &self,
        identity: Identity,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> http::Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).expect("a request");
        request.extensions_mut().insert(Peer { address: ([127, 0, 0, 1], 1).into(), identity });
        match tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await.expect("is answered") {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    pub async fn post(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], object.to_string()).await
    }

    pub async fn put(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::PUT, path, &[("content-type", "application/json")], object.to_string()).await
    }

    /// `format` is `json`, `merge` or `strategic-merge`.
    pub async fn patch(&self, path: &str, format: &str, patch: &Value) -> Answer {
        let content_type = format!("application/{format}-patch+json");
        self.send(Method::PATCH, path, &[("content-type", &content_type)], patch.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn read(response: http::Response<Body>) -> (http::response::Parts, Vec<u8>) {
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer ends").expect("is complete");
    (parts, body.to_bytes().to_vec())
}

pub fn administrator() -> Identity {
    Identity::Verified(Arc::new(User::known("admin", vec!["system:masters".to_owned()])))
}

/// A watch's lines, one at a time.
pub struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Lines {
    pub fn new(response: http::Response<Body>) -> Lines {
        assert_eq!(response.status(), StatusCode::OK);
        Lines { body: response.into_body(), rest: Vec::new() }
    }

    /// The next line; None at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line is JSON"));
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("something comes")?;
            if let Ok(data) = frame.expect("the stream goes on").into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}

/// A CA that signed one certificate for everything.
fn certificates(folder: &Path) -> tls::Files {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("is written");
        path
    };
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut own = rcgen::CertificateParams::new(names).expect("parameters");
    // Members use the same certificate on both ends of a connection.
    own.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth, rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = own.signed_by(&key, &issuer).expect("a certificate");
    tls::Files {
        ca: write("ca.pem", ca_certificate.pem()),
        certificate: write("server.pem", certificate.pem()),
        key: write("server.key", key.serialize_pem()),
    }
}
