//! Methods on objects and collections, as calls of the pipeline.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, StatusCode, Uri};
use jiff::Timestamp;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_types::Kind;
use keelson_types::schema::schema;
use keelson_types::status::Status;
use serde_json::{Value, json};

use super::body::Patch;
use super::frames::Frames;
use super::negotiate::{self, Form, Offer};
use super::parameters::Parameters;
use super::view::View;
use super::{accept, body, respond, stream};
use crate::pipeline::{Outcome, Pipeline, Subresource, Target, User, WatchStart, WriteOptions, Written};

/// Characters of a program's name that are kept as the name of a field manager, as in Kubernetes.
const PROGRAM_NAME_MAX: usize = 128;

/// GET, POST and DELETE of a collection.
pub(super) async fn collection(
    pipeline: &Pipeline,
    user: &User,
    target: Target,
    request: Request,
) -> Result<Response, Status> {
    let (parts, sent) = request.into_parts();
    let parameters = Parameters::parse(&parts.uri)?;
    let watches = parts.method == Method::GET && parameters.flag("watch")?;
    let view = view(target.kind, &parameters, &parts.headers, watches)?;
    // Objects of a namespaced kind are made and deleted within a namespace; only reading spans all.
    let writable = !target.kind.namespaced || !target.namespace.is_empty();
    if target.kind.is_answered() && parts.method != Method::POST {
        return Err(Status::method_not_allowed());
    }
    match parts.method {
        Method::GET if watches => watch(pipeline, user, &target, &parameters, view).await,
        Method::GET => {
            let list = pipeline.list(user, &target, parameters.list()?).await?;
            Ok(stream::list(answered(pipeline, view)?, list))
        }
        Method::POST if writable => {
            let options = named_options(&parameters, &parts.headers)?;
            let object = body::object(&parts.headers, body::read(sent).await?, &body::expected(&target))?;
            let written = pipeline.create(user, target, object, &options).await?;
            answer(&view, StatusCode::CREATED, written)
        }
        Method::DELETE if writable => {
            let (options, dry_run) = body::delete_options(&parts.headers, body::read(sent).await?)?;
            let options = parameters.delete(options)?;
            let write = WriteOptions { dry_run: dry_run || parameters.dry_run()?, ..WriteOptions::default() };
            let selectors = parameters.list()?;
            let deleted = pipeline.delete_collection(user, target, selectors, options, &write).await?;
            // As it was before; what goes later goes from there.
            Ok(stream::list(answered(pipeline, view)?, deleted.list))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// GET, PUT, PATCH and DELETE of an object, or of a subresource.
pub(super) async fn object(
    pipeline: &Pipeline,
    user: &User,
    target: Target,
    request: Request,
) -> Result<Response, Status> {
    let (parts, sent) = request.into_parts();
    let parameters = Parameters::parse(&parts.uri)?;
    let plain = target.subresource == Subresource::None;
    let watches = plain && parts.method == Method::GET && parameters.flag("watch")?;
    let mut view = view(target.kind, &parameters, &parts.headers, watches)?;
    view.scale = target.subresource == Subresource::Scale;
    match parts.method {
        Method::GET if watches => {
            let mut target = target;
            let name = std::mem::take(&mut target.name);
            watch_one(pipeline, user, &target, &name, &parameters, view).await
        }
        Method::GET => {
            let object = pipeline.get(user, &target, parameters.read_version()?).await?;
            rendered(&answered(pipeline, view)?, StatusCode::OK, &object)
        }
        Method::POST if matches!(target.subresource, Subresource::Binding | Subresource::Eviction) => {
            let options = named_options(&parameters, &parts.headers)?;
            let binding = body::object(&parts.headers, body::read(sent).await?, &body::expected(&target))?;
            let written = pipeline.create(user, target, binding, &options).await?;
            let status = plain_success().to_string();
            let mut response = respond::document(view.media, StatusCode::CREATED, status.into())?;
            respond::warn(&mut response, &written.warnings);
            Ok(response)
        }
        Method::PUT if !matches!(target.subresource, Subresource::Binding | Subresource::Eviction) => {
            let options = named_options(&parameters, &parts.headers)?;
            let object = body::object(&parts.headers, body::read(sent).await?, &body::expected(&target))?;
            let written = pipeline.update(user, target, object, &options).await?;
            answer(&view, StatusCode::OK, written)
        }
        Method::PATCH
            if !matches!(target.subresource, Subresource::Binding | Subresource::Eviction | Subresource::Finalize) =>
        {
            let mut options = parameters.write()?;
            let patch = body::patch(&parts.headers, body::read(sent).await?)?;
            let force = parameters.force(matches!(patch, Patch::Apply(_)))?;
            let written = match patch {
                Patch::Apply(config) => pipeline.server_side_apply(user, target, config, force, &options).await?,
                Patch::Change(patch_type, patch) => {
                    name_manager(&mut options, &parts.headers);
                    pipeline.patch(user, target, patch_type, patch, &options).await?
                }
            };
            answer(&view, StatusCode::OK, written)
        }
        Method::DELETE if plain => {
            let (options, dry_run) = body::delete_options(&parts.headers, body::read(sent).await?)?;
            let options = parameters.delete(options)?;
            let write = WriteOptions { dry_run: dry_run || parameters.dry_run()?, ..WriteOptions::default() };
            let written = pipeline.delete(user, target, options, &write).await?;
            deleted(&view, written)
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// GET of a pod's log.
pub(super) async fn log(
    pipeline: &Pipeline,
    user: &User,
    namespace: String,
    pod: String,
    uri: Uri,
) -> Result<Response, Status> {
    let parameters = Parameters::parse(&uri)?;
    let request = LogsRequest {
        namespace,
        pod,
        container: parameters.get("container").unwrap_or_default().to_owned(),
        follow: parameters.flag("follow")?,
        previous: parameters.flag("previous")?,
        tail_lines: parameters.number("tailLines")?,
        timestamps: parameters.flag("timestamps")?,
        since_seconds: parameters.number("sinceSeconds")?,
        limit_bytes: parameters.number("limitBytes")?,
        since_time: parameters.get("sinceTime").unwrap_or_default().to_owned(),
    };
    stream::logs(pipeline.logs(user, request).await?).await
}

async fn watch_one(
    pipeline: &Pipeline,
    user: &User,
    target: &Target,
    name: &str,
    parameters: &Parameters,
    view: View,
) -> Result<Response, Status> {
    let mut watch = parameters.watch()?;
    let only = format!("metadata.name={name}");
    watch.options.field_selector =
        if watch.options.field_selector.is_empty() { only } else { format!("{only},{}", watch.options.field_selector) };
    start(pipeline, user, target, watch, view).await
}

async fn watch(
    pipeline: &Pipeline,
    user: &User,
    target: &Target,
    parameters: &Parameters,
    view: View,
) -> Result<Response, Status> {
    start(pipeline, user, target, parameters.watch()?, view).await
}

async fn start(
    pipeline: &Pipeline,
    user: &User,
    target: &Target,
    mut watch: super::parameters::Watch,
    view: View,
) -> Result<Response, Status> {
    if watch.from_now {
        watch.options.start = WatchStart::Now;
    }
    let running = pipeline.watch(user, target, watch.options).await?;
    Ok(stream::watch(answered(pipeline, view)?, running, watch.send_initial_events))
}

fn named_options(parameters: &Parameters, headers: &HeaderMap) -> Result<WriteOptions, Status> {
    let mut options = parameters.write()?;
    name_manager(&mut options, headers);
    Ok(options)
}

/// Who does not say as which field manager it writes is known by the name of its program.
fn name_manager(options: &mut WriteOptions, headers: &HeaderMap) {
    if options.field_manager.is_empty() {
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        options.field_manager = program.chars().filter(|c| !c.is_control()).take(PROGRAM_NAME_MAX).collect();
    }
}

pub(super) fn view(
    kind: &'static Kind,
    parameters: &Parameters,
    headers: &HeaderMap,
    watches: bool,
) -> Result<View, Status> {
    let whole = if kind.is_answered() { kind.kind } else { kind.list_kind };
    let protobuf = !kind.is_custom() && schema().kind(&kind.api_version(), whole).is_some();
    let (form, media) = negotiate::form(accept(headers), Offer { protobuf, yaml: !watches })?;
    if kind.is_answered() && form != Form::Object {
        // An answer is no object that could stand in a table.
        return Err(Status::not_acceptable(&["application/json", "application/vnd.kubernetes.protobuf"]));
    }
    Ok(View { kind, form, media, include: parameters.include_object()?, scale: false })
}

/// The view of what was read, which may have waited for another definition of its kind.
fn answered(pipeline: &Pipeline, view: View) -> Result<View, Status> {
    Ok(View { kind: pipeline.current(view.kind)?, ..view })
}

fn rendered(view: &View, code: StatusCode, object: &Bytes) -> Result<Response, Status> {
    let mut frames = Frames::default();
    view.object(object, Timestamp::now(), &mut frames).map_err(Status::internal)?;
    respond::document(view.media, code, frames.into_bytes())
}

fn answer(view: &View, code: StatusCode, written: Written) -> Result<Response, Status> {
    // A PUT may create.
    let code = if written.outcome == Outcome::Created { StatusCode::CREATED } else { code };
    let mut response = rendered(view, code, &written.json)?;
    respond::warn(&mut response, &written.warnings);
    Ok(response)
}

/// What is gone is answered by a Status that names it; what goes later, by itself. A pod is always answered by itself, as
/// Kubernetes does.
fn deleted(view: &View, written: Written) -> Result<Response, Status> {
    let pod = view.kind.group.is_empty() && view.kind.plural == "pods";
    if pod || written.outcome != Outcome::Removed {
        return answer(view, StatusCode::OK, written);
    }
    let object: Value = serde_json::from_slice(&written.json).map_err(Status::internal)?;
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let status = success(view.kind, text("name"), text("uid")).to_string();
    let mut response = respond::document(view.media, StatusCode::OK, status.into())?;
    respond::warn(&mut response, &written.warnings);
    Ok(response)
}

/// The Status of something done to an object.
fn success(kind: &Kind, name: &str, uid: &str) -> Value {
    let mut status = plain_success();
    let mut details = json!({"kind": kind.plural});
    for (field, value) in [("name", name), ("group", kind.group), ("uid", uid)] {
        if !value.is_empty() {
            details[field] = value.into();
        }
    }
    status["details"] = details;
    status
}

fn plain_success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
}
