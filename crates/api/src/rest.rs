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
pub(crate) mod metrics;
mod negotiate;
mod openapi;
mod parameters;
mod path;
mod pretty;
mod published;
mod respond;
mod scale;
mod sessions;
pub(crate) mod shown;
mod single;
mod stream;
mod verbs;
pub(crate) mod version;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use keelson_types::registry::Registry;
use keelson_types::status::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::metrics::About;
use crate::pipeline::{Peer, Pipeline, Target, User, Verb};
use path::Route;

pub use published::Published;

/// The front as an axum router that serves every path. Each request needs a [`Peer`] in its extensions; without one it is
/// nobody's.
pub fn router(published: Arc<Published>) -> Router {
    let front = Front { pipeline: published.pipeline().clone(), published };
    Router::new().fallback(serve).with_state(Arc::new(front))
}

struct Front {
    pipeline: Arc<Pipeline>,
    published: Arc<Published>,
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

    /// What is counted of a request.
    fn about(&self, request: &Request) -> About {
        let route = path::route(&self.pipeline.served().registry, request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        let applies = request.headers().get(CONTENT_TYPE).is_some_and(|value| value == body::APPLY_PATCH);
        let verb = match (request.method().as_str(), &route) {
            (_, Some(Route::Session { .. })) => "CONNECT",
            ("GET", Some(Route::Collection(_) | Route::Object(_))) if crate::service::is_watch(query) => "WATCH",
            ("GET", Some(Route::Collection(_))) => "LIST",
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
            return Ok(respond::cached(self.published.openapi_v2_empty(), headers));
        }
        negotiate::json(accept)?;
        Ok(respond::cached(&*self.published.openapi_v2().await?, headers))
    }

    /// A document of version 3, or the index of them.
    async fn openapi(&self, route: &Route, headers: &HeaderMap) -> Result<Response, Status> {
        negotiate_document(accept(headers))?;
        let document = match route {
            Route::OpenApiGroupVersion { group, version } => self.published.openapi_of(group, version).await?,
            _ => self.published.openapi_index().await?,
        };
        Ok(respond::cached(&document, headers))
    }

    /// What is not about objects.
    fn document(&self, route: &Route, headers: &HeaderMap) -> Result<Response, Status> {
        let accept = accept(headers);
        let documents = self.published.documents();
        let document = match route {
            Route::CoreVersions => Some(documents.discovery.core(negotiate::discovery(accept)?)),
            Route::Groups => Some(documents.discovery.groups(negotiate::discovery(accept)?)),
            Route::Group(group) => documents.discovery.group(group),
            Route::Resources { group, version } => documents.discovery.resources(group, version),
            Route::Metrics => return Ok(metrics::answer(&self.pipeline)),
            Route::Version => return Ok(respond::json(StatusCode::OK, version::document().to_string())),
            Route::Root => return Ok(respond::json(StatusCode::OK, root(&documents.served.registry).to_string())),
            Route::OpenApi
            | Route::OpenApiGroupVersion { .. }
            | Route::OpenApiV2
            | Route::Health(_)
            | Route::HealthCheck(..)
            | Route::Collection(_)
            | Route::Object(_)
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
