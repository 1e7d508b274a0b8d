//! The REST front: Kubernetes' paths over the pipeline.
//!
//! One handler serves every path. A request goes path → [`path::Route`] → parameters → pipeline → the negotiated form.
//! What a path, a query or an `Accept` header means is decided by pure functions; this file and [`verbs`] connect them.
//!
//! **Invariant**: every answer but a stream that broke off is complete, and every refusal is a Kubernetes `Status`.
//! HTTP codes come from the status alone ([`respond::status`]). Nothing here knows a kind by name, but for the paths that
//! Kubernetes gives to pods and namespaces.

mod body;
mod components;
mod discovery;
mod frames;
mod gzip;
mod health;
mod media;
mod metrics;
mod negotiate;
mod openapi;
mod parameters;
mod path;
mod pretty;
mod respond;
mod scale;
mod sessions;
mod single;
mod stream;
mod verbs;
mod view;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use keelson_types::registry::Registry;
use keelson_types::status::Status;
use keelson_types::told::COMPONENT_STATUS;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::custom::Served;
use crate::metrics::About;
use crate::pipeline::{Peer, Pipeline, Target, User, Verb};
use path::Route;
use single::Single;

/// What `kubectl version` shows: the API that is served, and by whom.
const GIT_VERSION: &str = concat!("v1.36.0+keelson-", env!("CARGO_PKG_VERSION"));

/// Everything that the front holds beside the pipeline; made once.
struct Front {
    pipeline: Arc<Pipeline>,
    documents: ArcSwap<Documents>,
    openapi_v2_empty: discovery::Document,
    /// Lets one document of all kinds be made at a time, whichever kinds there are by then.
    openapi_v2: Single,
    /// Likewise for documents of version 3.
    openapi: Single,
}

/// Everything that is told about the kinds of one registry.
struct Documents {
    served: Arc<Served>,
    discovery: discovery::Documents,
    openapi: Arc<openapi::Documents>,
    /// Made when somebody asks for it.
    openapi_v2: Arc<OnceLock<Arc<discovery::Document>>>,
}

impl Documents {
    fn new(served: Arc<Served>, before: Option<&Documents>) -> Arc<Documents> {
        let discovery = discovery::Documents::new(&served.registry);
        let openapi = openapi::Documents::new(&served.registry, GIT_VERSION, before.map(|before| &*before.openapi));
        Arc::new(Documents { served, discovery, openapi: Arc::new(openapi), openapi_v2: Arc::default() })
    }
}

/// The front as an axum router that serves every path. Each request needs a [`Peer`] in its extensions; without one it is
/// nobody's.
pub fn router(pipeline: Arc<Pipeline>) -> Router {
    let documents = Documents::new(pipeline.served(), None);
    let front = Front {
        pipeline,
        documents: ArcSwap::new(documents),
        openapi_v2_empty: openapi::v2::empty(),
        openapi_v2: Single::new(),
        openapi: Single::new(),
    };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

async fn serve(State(front): State<Arc<Front>>, request: Request) -> Response {
    let audit_id = Uuid::new_v4().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let zipped = gzip::is_accepted(request.headers());
    let pretty = pretty::is_wanted(request.uri().query());
    let failure = negotiate::failure(accept(request.headers()));
    let running = front.pipeline.metrics().begin(front.about(&request));
    let response = match front.route(request).await {
        Ok(response) => response,
        Err(status) => {
            if status.code >= 500 {
                tracing::warn!(%method, path, code = status.code, message = %status, audit_id, "a request failed");
            }
            respond::status(&status, failure)
        }
    };
    let response = if pretty { pretty::print(response) } else { response };
    let response = if zipped { gzip::compress(response).await } else { response };
    running.answer(respond::finish(response, &audit_id))
}

impl Front {
    async fn route(&self, request: Request) -> Result<Response, Status> {
        let route = path::route(&self.pipeline.served().registry, request.uri().path());
        // Probes carry no certificate.
        if let Some(Route::Health(probe)) = route {
            get_only(request.method())?;
            return health::probe(probe, self.pipeline.is_ready(), &parameters::Parameters::parse(request.uri())?);
        }
        if let Some(Route::HealthCheck(probe, check)) = &route {
            get_only(request.method())?;
            return health::check(*probe, check, self.pipeline.is_ready());
        }
        // Who nobody is learns nothing, not even which paths there are.
        let user = self.authenticate(&request)?;
        let route = match route {
            Some(route) => route,
            None => self.newest_route(request.uri().path().to_owned()).await?.ok_or_else(Status::no_such_path)?,
        };
        match route {
            Route::Collection(target) => {
                let warning = warning(&target);
                let response = verbs::collection(&self.pipeline, &user, target, request).await;
                response.map(|response| warned(response, warning))
            }
            Route::Object(target) => {
                let warning = warning(&target);
                let response = verbs::object(&self.pipeline, &user, target, request).await;
                response.map(|response| warned(response, warning))
            }
            Route::Components(name) => {
                let response = components::serve(&self.pipeline, &user, name.as_deref(), request).await;
                response.map(|response| warned(response, COMPONENT_STATUS.deprecation()))
            }
            Route::Log { namespace, pod } => {
                get_only(request.method())?;
                verbs::log(&self.pipeline, &user, namespace, pod, request.uri().clone()).await
            }
            Route::Session { what, namespace, pod } => {
                sessions::serve(&self.pipeline, &user, what, namespace, pod, request).await
            }
            Route::OpenApiV2 => {
                get_only(request.method())?;
                self.pipeline.authorize_path(&user, Verb::Get, request.uri().path())?;
                self.openapi_v2(request.headers()).await
            }
            Route::OpenApi | Route::OpenApiGroupVersion { .. } => {
                get_only(request.method())?;
                self.pipeline.authorize_path(&user, Verb::Get, request.uri().path())?;
                self.openapi(&route, request.headers()).await
            }
            route => {
                get_only(request.method())?;
                self.pipeline.authorize_path(&user, Verb::Get, request.uri().path())?;
                self.document(&route, request.headers())
            }
        }
    }

    /// A path of a group that this member does not know: perhaps a kind was defined a moment ago, through another member.
    async fn newest_route(&self, path: String) -> Result<Option<Route>, Status> {
        if !path.starts_with("/apis/") || !self.pipeline.is_ready() {
            return Ok(None);
        }
        self.pipeline.catch_up().await?;
        Ok(path::route(&self.pipeline.served().registry, &path))
    }

    /// The documents of the kinds that are served now.
    fn documents(&self) -> Arc<Documents> {
        let served = self.pipeline.served();
        let known = self.documents.load_full();
        if Arc::ptr_eq(&known.served, &served) {
            return known;
        }
        let made = Documents::new(served, Some(&known));
        self.documents.store(made.clone());
        made
    }

    /// What is counted of a request.
    fn about(&self, request: &Request) -> About {
        let route = path::route(&self.pipeline.served().registry, request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        let applies = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == body::APPLY_PATCH);
        let verb = match (request.method().as_str(), &route) {
            (_, Some(Route::Session { .. })) => "CONNECT",
            ("GET", Some(Route::Collection(_) | Route::Object(_))) if crate::service::is_watch(query) => "WATCH",
            ("GET", Some(Route::Collection(_) | Route::Components(None))) => "LIST",
            ("DELETE", Some(Route::Collection(_))) => "DELETECOLLECTION",
            ("GET", _) => "GET",
            ("POST", _) => "POST",
            ("PUT", _) => "PUT",
            ("PATCH", _) if applies => "APPLY",
            ("PATCH", _) => "PATCH",
            ("DELETE", _) => "DELETE",
            _ => "other",
        };
        let dry_run = query.split('&').any(|pair| pair == "dryRun=All");
        let about = About { verb, dry_run, component: "apiserver", ..About::default() };
        let pod = |subresource| About {
            kind: self.pipeline.served().registry.by_versioned_resource("", "v1", "pods"),
            subresource,
            scope: "resource",
            ..about
        };
        match route {
            Some(Route::Collection(target)) => {
                let scope = if target.namespace.is_empty() { "cluster" } else { "namespace" };
                About { kind: Some(target.kind), scope, ..about }
            }
            Some(Route::Object(target)) => {
                About { kind: Some(target.kind), subresource: target.subresource.as_str(), scope: "resource", ..about }
            }
            Some(Route::Components(name)) => {
                let scope = if name.is_some() { "resource" } else { "cluster" };
                About { kind: Some(&COMPONENT_STATUS), scope, ..about }
            }
            Some(Route::Log { .. }) => pod("log"),
            Some(Route::Session { what: path::Session::Exec, .. }) => pod("exec"),
            Some(Route::Session { what: path::Session::Attach, .. }) => pod("attach"),
            Some(Route::Session { what: path::Session::PortForward, .. }) => pod("portforward"),
            _ => about,
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

    /// All kinds in one document.
    async fn openapi_v2(&self, headers: &HeaderMap) -> Result<Response, Status> {
        let accept = accept(headers);
        if openapi::v2::wants_protobuf(accept) {
            return Ok(respond::cached(&self.openapi_v2_empty, headers));
        }
        negotiate::json(accept)?;
        let documents = self.documents();
        let served = documents.served.clone();
        let make = move || Arc::new(openapi::v2::document(&served.registry, GIT_VERSION));
        let made = self.openapi_v2.get(documents.openapi_v2.clone(), make).await.map_err(Status::internal)?;
        Ok(respond::cached(&made, headers))
    }

    /// A document of version 3, or the index of them.
    async fn openapi(&self, route: &Route, headers: &HeaderMap) -> Result<Response, Status> {
        negotiate_document(accept(headers))?;
        let documents = self.documents();
        let document = match route {
            Route::OpenApiGroupVersion { group, version } => {
                documents.openapi.group_version(group, version, &self.openapi).await
            }
            _ => documents.openapi.index(&self.openapi).await.map(Some),
        };
        let document = document.map_err(Status::internal)?.ok_or_else(Status::no_such_path)?;
        Ok(respond::cached(&document, headers))
    }

    /// What is not about objects.
    fn document(&self, route: &Route, headers: &HeaderMap) -> Result<Response, Status> {
        let accept = accept(headers);
        let documents = self.documents();
        let document = match route {
            Route::CoreVersions => Some(documents.discovery.core(negotiate::discovery(accept)?)),
            Route::Groups => Some(documents.discovery.groups(negotiate::discovery(accept)?)),
            Route::Group(group) => documents.discovery.group(group),
            Route::Resources { group, version } => documents.discovery.resources(group, version),
            Route::Metrics => return Ok(metrics::text(&self.pipeline)),
            Route::Version => return Ok(respond::json(StatusCode::OK, version().to_string())),
            Route::Root => return Ok(respond::json(StatusCode::OK, root(&documents.served.registry).to_string())),
            Route::OpenApi
            | Route::OpenApiGroupVersion { .. }
            | Route::OpenApiV2
            | Route::Health(_)
            | Route::HealthCheck(..)
            | Route::Collection(_)
            | Route::Object(_)
            | Route::Components(_)
            | Route::Log { .. }
            | Route::Session { .. } => None,
        };
        let document = document.ok_or_else(Status::no_such_path)?;
        negotiate_document(accept)?;
        Ok(respond::cached(document, headers))
    }
}

fn negotiate_document(accept: Option<&str>) -> Result<(), Status> {
    negotiate::json(accept).or_else(|refused| negotiate::discovery(accept).map(|_| ()).map_err(|_| refused))
}

/// What is told to whoever uses this version of a kind.
fn warning(target: &Target) -> Option<&'static str> {
    target.kind.deprecation()
}

fn warned(mut response: Response, warning: Option<&'static str>) -> Response {
    if let Some(warning) = warning {
        respond::warn(&mut response, &[warning.to_owned()]);
    }
    response
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

fn root(registry: &Registry) -> Value {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
            .map(String::from)
            .into();
    for (group, version) in discovery::group_versions(registry) {
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
