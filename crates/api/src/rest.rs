//! The REST front: Kubernetes' paths over the pipeline.
//!
//! One handler serves every path. A request goes path → [`path::Route`] → parameters → pipeline → the negotiated form.
//! What a path, a query or an `Accept` header means is decided by pure functions; this file and [`verbs`] connect them.
//!
//! **Invariant**: every answer but a stream that broke off is complete, and every refusal is a Kubernetes `Status`.
//! HTTP codes come from the status alone ([`respond::status`]). Nothing here knows a kind by name, but for the paths that
//! Kubernetes gives to pods and namespaces.

mod body;
mod discovery;
mod frames;
mod gzip;
mod health;
mod media;
mod negotiate;
mod openapi;
mod parameters;
mod path;
mod respond;
mod sessions;
mod stream;
mod verbs;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use keelson_types::status::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::pipeline::{Peer, Pipeline, User, Verb};
use path::Route;

/// What `kubectl version` shows: the API that is served, and by whom.
const GIT_VERSION: &str = concat!("v1.36.0+keelson-", env!("CARGO_PKG_VERSION"));

/// Everything that the front holds beside the pipeline; made once.
struct Front {
    pipeline: Arc<Pipeline>,
    discovery: discovery::Documents,
    openapi: openapi::Documents,
    openapi_v2: discovery::Document,
}

/// The front as an axum router that serves every path. Each request needs a [`Peer`] in its extensions; without one it is
/// nobody's.
pub fn router(pipeline: Arc<Pipeline>) -> Router {
    let front = Front {
        pipeline,
        discovery: discovery::Documents::new(),
        openapi: openapi::Documents::new(GIT_VERSION),
        openapi_v2: openapi::v2(),
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let audit_id = Uuid::new_v4().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let zipped = gzip::is_accepted(request.headers());
    let failure = negotiate::failure(accept(request.headers()));
    let response = match front.route(request).await {
        Ok(response) => response,
        Err(status) => {
            if status.code >= 500 {
                tracing::warn!(%method, path, code = status.code, message = %status, audit_id, "a request failed");
            }
            respond::status(&status, failure)
        }
    };
    let response = if zipped { gzip::compress(response).await } else { response };
    respond::finish(response, &audit_id)
}

impl Front {
    async fn route(&self, request: Request) -> Result<Response, Status> {
        let route = path::route(request.uri().path());
        // Probes carry no certificate.
        if let Some(Route::Health(probe)) = route {
            get_only(request.method())?;
            return health::probe(probe, self.pipeline.is_ready(), &parameters::Parameters::parse(request.uri())?);
        }
        // Who nobody is learns nothing, not even which paths there are.
        let user = self.authenticate(&request)?;
        match route.ok_or_else(Status::no_such_path)? {
            Route::Collection(target) => verbs::collection(&self.pipeline, &user, target, request).await,
            Route::Object(target) => verbs::object(&self.pipeline, &user, target, request).await,
            Route::Log { namespace, pod } => {
                get_only(request.method())?;
                verbs::log(&self.pipeline, &user, namespace, pod, request.uri().clone()).await
            }
            Route::Session { what, namespace, pod } => {
                sessions::serve(&self.pipeline, &user, what, namespace, pod, request).await
            }
            route => {
                get_only(request.method())?;
                self.pipeline.authorize_path(&user, Verb::Get, request.uri().path())?;
                self.document(&route, request.headers())
            }
        }
    }

    fn authenticate(&self, request: &Request) -> Result<Arc<User>, Status> {
        match request.extensions().get::<Peer>() {
            Some(peer) => {
                let user = self.pipeline.authenticate(peer)?;
                self.pipeline.impersonated(user, request.headers())
            }
            None => Err(Status::unauthorized()),
        }
    }

    /// What is not about objects.
    fn document(&self, route: &Route, headers: &HeaderMap) -> Result<Response, Status> {
        let accept = accept(headers);
        let document = match route {
            Route::CoreVersions => Some(self.discovery.core(negotiate::discovery(accept)?)),
            Route::Groups => Some(self.discovery.groups(negotiate::discovery(accept)?)),
            Route::Group(group) => self.discovery.group(group),
            Route::Resources { group, version } => self.discovery.resources(group, version),
            Route::OpenApi => Some(&self.openapi.index),
            Route::OpenApiV2 => return Ok(respond::cached(&self.openapi_v2, headers)),
            Route::OpenApiGroupVersion { group, version } => self.openapi.group_version(group, version),
            Route::Version => return Ok(respond::json(StatusCode::OK, version().to_string())),
            Route::Root => return Ok(respond::json(StatusCode::OK, root().to_string())),
            Route::Health(_) | Route::Collection(_) | Route::Object(_) | Route::Log { .. } | Route::Session { .. } => {
                None
            }
        };
        let document = document.ok_or_else(Status::no_such_path)?;
        negotiate::json(accept).or_else(|refused| negotiate::discovery(accept).map(|_| ()).map_err(|_| refused))?;
        Ok(respond::cached(document, headers))
    }
}

fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok())
}

fn get_only(method: &Method) -> Result<(), Status> {
    if method == Method::GET { Ok(()) } else { Err(Status::method_not_allowed()) }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, platform()),
    })
}

/// The processor by the name that Kubernetes' tools know.
fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn root() -> Value {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(String::from).into();
    for (group, version) in discovery::group_versions() {
        if group.is_empty() {
            paths.push(format!("/api/{version}"));
        } else {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    json!({"paths": paths})
}
