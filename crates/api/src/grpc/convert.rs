//! Between the wire's messages and the pipeline's values.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_types::registry::{self, Registry};
use keelson_types::status::Status;
use keelson_types::table::Column;
use keelson_types::{Kind, binding};

use crate::custom::Served;
use crate::pipeline::{
    DeleteOptions, FieldValidation, Operation, PatchType, Pipeline, Propagation, ReadVersion, Subresource, Target,
    WatchStart, WriteOptions,
};
use crate::rest::shown::{IncludeObject, Shape};

/// The kinds among which a request's are found. When this member does not know one, it first learns all that was acknowledged
/// before: the kind may have been defined a moment ago, through another member, and "no such path" would be taken for a fact.
///
/// # Errors
/// When the store cannot say how far that is, or the caches do not follow.
pub async fn served<'a>(
    pipeline: &Pipeline,
    names: impl IntoIterator<Item = Option<&'a proto::ObjectName>>,
) -> Result<Arc<Served>, Status> {
    let served = pipeline.served();
    let is_settled = |name: &proto::ObjectName| match &name.resource {
        // Nobody defines kinds in the program's own groups.
        Some(resource) => {
            kind(&served.registry, resource).is_some()
                || registry::all().iter().any(|kind| kind.group == resource.group)
        }
        None => true,
    };
    if names.into_iter().flatten().all(is_settled) {
        return Ok(served);
    }
    pipeline.catch_up().await?;
    Ok(pipeline.served())
}

/// In the version that is asked for, or else the preferred one of those that are served.
fn kind(registry: &Registry, resource: &proto::Resource) -> Option<&'static Kind> {
    match resource.version.as_str() {
        "" => registry.by_resource(&resource.group, &resource.resource),
        version => registry.by_versioned_resource(&resource.group, version, &resource.resource),
    }
}

/// The name that an operation is about; `None` for a binding, whose kind is clear.
pub fn name(operation: &proto::write_request::Operation) -> Option<&proto::ObjectName> {
    use proto::write_request::operation::Operation as Wire;
    match operation.operation.as_ref()? {
        Wire::Create(create) => create.name.as_ref(),
        Wire::Update(update) => update.name.as_ref(),
        Wire::Patch(patch) => patch.name.as_ref(),
        Wire::Delete(delete) => delete.name.as_ref(),
        Wire::ServerSideApply(apply) => apply.name.as_ref(),
        Wire::Bind(_) => None,
    }
}

/// # Errors
/// NotFound for a kind or a subresource that does not exist, BadRequest for a namespace that does not fit.
pub fn target(registry: &Registry, name: Option<proto::ObjectName>) -> Result<Target, Status> {
    let name = name.ok_or_else(|| Status::bad_request("name is missing"))?;
    let resource = name.resource.ok_or_else(|| Status::bad_request("name.resource is missing"))?;
    // As `pods/<name>/binding`, but the body says which pod.
    let binds = resource.group.is_empty() && resource.resource == binding::KIND.plural;
    let plural = if binds { "pods".to_owned() } else { resource.resource };
    let resource = proto::Resource { resource: plural, ..resource };
    let kind = kind(registry, &resource).ok_or_else(Status::no_such_path)?;
    let subresource = match name.subresource.as_str() {
        "" if binds => Subresource::Binding,
        _ if binds => return Err(Status::no_such_path()),
        "" => Subresource::None,
        "status" => Subresource::Status,
        "scale" => Subresource::Scale,
        "approval" => Subresource::Approval,
        "binding" => Subresource::Binding,
        "eviction" => Subresource::Eviction,
        "finalize" => Subresource::Finalize,
        "ephemeralcontainers" => Subresource::EphemeralContainers,
        "resize" => Subresource::Resize,
        _ => return Err(Status::no_such_path()),
    };
    if !kind.namespaced && !name.namespace.is_empty() {
        return Err(Status::bad_request(format!("{} have no namespace", kind.plural)));
    }
    Ok(Target { kind, namespace: name.namespace, name: name.name, subresource })
}

/// The same for what names one object.
pub fn one(registry: &Registry, name: Option<proto::ObjectName>) -> Result<Target, Status> {
    let target = in_namespace(registry, name)?;
    if target.name.is_empty() {
        return Err(Status::bad_request("name.name is missing"));
    }
    Ok(target)
}

/// The same for what is about one namespace, with the name left open.
pub fn in_namespace(registry: &Registry, name: Option<proto::ObjectName>) -> Result<Target, Status> {
    let target = target(registry, name)?;
    if target.kind.namespaced && target.namespace.is_empty() {
        return Err(Status::bad_request("an empty namespace may not be set during creation"));
    }
    Ok(target)
}

/// The same for what names a collection: all of a kind, or of a namespace.
///
/// # Errors
/// BadRequest for the name of one object or a subresource: both would be asked about, and then passed over.
pub fn collection(registry: &Registry, name: Option<proto::ObjectName>) -> Result<Target, Status> {
    let target = target(registry, name)?;
    if !target.name.is_empty() || target.subresource != Subresource::None {
        return Err(Status::bad_request(
            "a collection has neither a name nor a subresource; to select one object use field_selector metadata.name",
        ));
    }
    Ok(target)
}

/// The same within one namespace.
pub fn collection_in_namespace(registry: &Registry, name: Option<proto::ObjectName>) -> Result<Target, Status> {
    in_namespace(registry, name.clone())?;
    collection(registry, name)
}

pub fn body(object: Option<proto::Object>) -> Result<Bytes, Status> {
    object.map(|object| object.json).ok_or_else(|| Status::bad_request("object is missing"))
}

pub fn write_options(options: Option<proto::WriteOptions>) -> WriteOptions {
    let options = options.unwrap_or_default();
    let field_validation = match options.field_validation() {
        proto::FieldValidation::Ignore => FieldValidation::Ignore,
        proto::FieldValidation::Warn => FieldValidation::Warn,
        proto::FieldValidation::Strict | proto::FieldValidation::Unspecified => FieldValidation::Strict,
    };
    WriteOptions {
        fence_term: options.fence_term,
        dry_run: options.dry_run,
        field_validation,
        field_manager: options.field_manager,
    }
}

pub fn delete_options(options: Option<proto::DeleteOptions>) -> DeleteOptions {
    let options = options.unwrap_or_default();
    let propagation = match options.propagation() {
        proto::Propagation::Foreground => Some(Propagation::Foreground),
        proto::Propagation::Orphan => Some(Propagation::Orphan),
        proto::Propagation::Background | proto::Propagation::Unspecified => Some(Propagation::Background),
        proto::Propagation::Kept => None,
    };
    DeleteOptions {
        propagation,
        grace_period_seconds: options.grace_period_seconds,
        uid: options.uid,
        resource_version: options.resource_version,
    }
}

/// # Errors
/// BadRequest for an unspecified type.
pub fn patch_type(patch_type: proto::patch_request::Type) -> Result<PatchType, Status> {
    match patch_type {
        proto::patch_request::Type::Json => Ok(PatchType::Json),
        proto::patch_request::Type::Merge => Ok(PatchType::Merge),
        proto::patch_request::Type::Strategic => Ok(PatchType::Strategic),
        proto::patch_request::Type::Unspecified => Err(Status::bad_request("type of the patch is missing")),
    }
}

/// # Errors
/// BadRequest for what is no number.
pub fn read_version(text: &str) -> Result<ReadVersion, Status> {
    match text {
        "" => Ok(ReadVersion::MostRecent),
        "0" => Ok(ReadVersion::Any),
        number => revision(number).map(ReadVersion::NotOlderThan),
    }
}

/// # Errors
/// BadRequest for what is no number.
pub fn revision(text: &str) -> Result<i64, Status> {
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| Status::bad_request(format!("resource version {text:?} is not a number")))
}

/// The state that a list is of.
///
/// # Errors
/// BadRequest for what is no number, and for an exact revision that is none.
pub fn list_version(text: &str, version_match: proto::VersionMatch) -> Result<ReadVersion, Status> {
    match (version_match, read_version(text)?) {
        (proto::VersionMatch::Exact, ReadVersion::NotOlderThan(revision)) => Ok(ReadVersion::Exact(revision)),
        (proto::VersionMatch::Exact, _) => {
            Err(Status::bad_request("version_match exact is about a revision, which resource_version must name"))
        }
        (proto::VersionMatch::Unspecified | proto::VersionMatch::NotOlderThan, version) => Ok(version),
    }
}

/// Where a watch starts.
///
/// # Errors
/// BadRequest for what is no number.
pub fn watch_start(text: &str, initial: proto::InitialEvents) -> Result<WatchStart, Status> {
    let version = read_version(text)?;
    Ok(match (initial, version) {
        (proto::InitialEvents::Send, version) => WatchStart::Initial(version),
        (_, ReadVersion::NotOlderThan(revision) | ReadVersion::Exact(revision)) => WatchStart::After(revision),
        (proto::InitialEvents::Skip, ReadVersion::MostRecent | ReadVersion::Any) => WatchStart::Now,
        (proto::InitialEvents::Unspecified, version) => WatchStart::Initial(version),
    })
}

/// What is given of each object.
pub fn shape(view: Option<proto::View>) -> Shape {
    let view = view.unwrap_or_default();
    match view.form() {
        proto::Form::Unspecified => Shape::Whole,
        proto::Form::Metadata => Shape::Metadata,
        proto::Form::Table => Shape::Row(match view.include_object() {
            proto::IncludeObject::None => IncludeObject::None,
            proto::IncludeObject::Object => IncludeObject::Object,
            proto::IncludeObject::Metadata | proto::IncludeObject::Unspecified => IncludeObject::Metadata,
        }),
    }
}

pub fn columns(columns: &[Column]) -> Vec<proto::Column> {
    let column = |column: &Column| proto::Column {
        name: column.name.to_owned(),
        r#type: column.kind.to_owned(),
        format: column.format.to_owned(),
        description: column.description.to_owned(),
        priority: column.priority,
    };
    columns.iter().map(column).collect()
}

/// What is told to whoever uses this version of a kind, before what there is to tell of the request.
pub fn warnings(kind: &Kind, of_request: Vec<String>) -> Vec<String> {
    kind.deprecation().map(str::to_owned).into_iter().chain(of_request).collect()
}

/// # Errors
/// As the single conversions.
pub fn operation(registry: &Registry, operation: proto::write_request::Operation) -> Result<Operation, Status> {
    use proto::write_request::operation::Operation as Wire;
    match operation.operation.ok_or_else(|| Status::bad_request("operation is missing"))? {
        Wire::Create(create) => {
            Ok(Operation::Create { target: in_namespace(registry, create.name)?, body: body(create.object)? })
        }
        Wire::Update(update) => {
            Ok(Operation::Update { target: one(registry, update.name)?, body: body(update.object)? })
        }
        Wire::Patch(patch) => {
            let patch_type = patch_type(patch.r#type())?;
            Ok(Operation::Patch { target: one(registry, patch.name)?, patch_type, patch: patch.patch })
        }
        Wire::Delete(delete) => {
            Ok(Operation::Delete { target: one(registry, delete.name)?, options: delete_options(delete.delete) })
        }
        Wire::ServerSideApply(apply) => Ok(Operation::ServerSideApply {
            target: one(registry, apply.name)?,
            body: body(apply.object)?,
            force: apply.force,
        }),
        Wire::Bind(bind) => {
            Ok(Operation::Bind { namespace: bind.namespace, pod: bind.pod, uid: bind.uid, node: bind.node })
        }
    }
}
