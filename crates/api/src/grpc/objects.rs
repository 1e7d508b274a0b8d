//! `keelson.api.v1.Objects`.

mod streams;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_server::Objects;
use keelson_types::Kind;
use keelson_types::status::Status;
use tonic::{Request, Response};

use super::{convert, user};
use crate::custom::Served;
use crate::pipeline::{ListOptions, Operation, Outcome, Pipeline, Subresource, WatchOptions, Written};
use crate::rest::shown::{Shape, Shown};
use crate::status_code::grpc;
use streams::Streamed;

type Answer<T> = Result<Response<T>, tonic::Status>;

pub struct Service {
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>) -> Service {
        Service { pipeline }
    }

    async fn served(&self, name: Option<&proto::ObjectName>) -> Result<Arc<Served>, tonic::Status> {
        convert::served(&self.pipeline, [name]).await.map_err(told)
    }

    /// How an answer shows what was read, which may have waited for another definition of its kind.
    fn shown(&self, kind: &'static Kind, scale: bool, shape: Shape) -> Result<Shown, Status> {
        Ok(Shown::new(self.pipeline.current(kind)?, scale, shape, Timestamp::now()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn told(status: Status) -> tonic::Status {
    grpc(&status)
}

fn object(written: &Written) -> Option<proto::Object> {
    Some(proto::Object { json: written.json.clone() })
}

#[tonic::async_trait]
impl Objects for Service {
    async fn get(&self, request: Request<proto::GetRequest>) -> Answer<proto::GetResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let version = convert::read_version(&request.resource_version).map_err(told)?;
        let json = self.pipeline.get(&user, &target, version).await.map_err(told)?;
        let scale = target.subresource == Subresource::Scale;
        let shown = self.shown(target.kind, scale, convert::shape(request.view)).map_err(told)?;
        let object = proto::Object { json: shown.object(&json).map_err(told)? };
        Ok(Response::new(proto::GetResponse {
            object: Some(object),
            columns: convert::columns(shown.columns()),
            warnings: convert::warnings(target.kind, Vec::new()),
        }))
    }

    type ListStream = Streamed<proto::ListResponse>;

    async fn list(&self, request: Request<proto::ListRequest>) -> Answer<Self::ListStream> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let (version_match, shape) = (request.version_match(), convert::shape(request.view));
        let target = convert::collection(&served.registry, request.name).map_err(told)?;
        let options = ListOptions {
            label_selector: request.label_selector,
            field_selector: request.field_selector,
            limit: usize::try_from(request.limit).unwrap_or(0),
            continue_token: request.r#continue,
            version: convert::list_version(&request.resource_version, version_match).map_err(told)?,
        };
        let list = self.pipeline.list(&user, &target, options).await.map_err(told)?;
        let shown = self.shown(target.kind, false, shape).map_err(told)?;
        Ok(Response::new(streams::chunks(list, shown, convert::warnings(target.kind, Vec::new()))))
    }

    async fn create(&self, request: Request<proto::CreateRequest>) -> Answer<proto::CreateResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::in_namespace(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let written = self.pipeline.create(&user, target, body, &options).await.map_err(told)?;
        Ok(Response::new(proto::CreateResponse {
            object: object(&written),
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn update(&self, request: Request<proto::UpdateRequest>) -> Answer<proto::UpdateResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let written = self.pipeline.update(&user, target, body, &options).await.map_err(told)?;
        Ok(Response::new(proto::UpdateResponse {
            object: object(&written),
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Answer<proto::ApplyResponse> {
        use proto::apply_response::Outcome as Told;
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::in_namespace(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let written = self.pipeline.apply(&user, target, body, &options).await.map_err(told)?;
        let outcome = match written.outcome {
            Outcome::Created => Told::Created,
            Outcome::Unchanged => Told::Unchanged,
            Outcome::Configured | Outcome::Removed | Outcome::Deleting => Told::Configured,
        };
        Ok(Response::new(proto::ApplyResponse {
            object: object(&written),
            outcome: outcome as i32,
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn server_side_apply(
        &self,
        request: Request<proto::ServerSideApplyRequest>,
    ) -> Answer<proto::ServerSideApplyResponse> {
        use proto::server_side_apply_response::Outcome as Told;
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let applied = self.pipeline.server_side_apply(&user, target, body, request.force, &options).await;
        let written = applied.map_err(told)?;
        let outcome = match written.outcome {
            Outcome::Created => Told::Created,
            Outcome::Unchanged => Told::Unchanged,
            Outcome::Configured | Outcome::Removed | Outcome::Deleting => Told::Configured,
        };
        Ok(Response::new(proto::ServerSideApplyResponse {
            object: object(&written),
            outcome: outcome as i32,
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn patch(&self, request: Request<proto::PatchRequest>) -> Answer<proto::PatchResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let patch_type = convert::patch_type(request.r#type()).map_err(told)?;
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let patched = self.pipeline.patch(&user, target, patch_type, request.patch, &options).await;
        let written = patched.map_err(told)?;
        Ok(Response::new(proto::PatchResponse {
            object: object(&written),
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Answer<proto::DeleteResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let delete = convert::delete_options(request.delete);
        let options = convert::write_options(request.options);
        let kind = target.kind;
        let written = self.pipeline.delete(&user, target, delete, &options).await.map_err(told)?;
        let removed = written.outcome == Outcome::Removed;
        let object = object(&written);
        Ok(Response::new(proto::DeleteResponse {
            object,
            removed,
            warnings: convert::warnings(kind, written.warnings),
        }))
    }

    async fn delete_collection(
        &self,
        request: Request<proto::DeleteCollectionRequest>,
    ) -> Answer<proto::DeleteCollectionResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::collection_in_namespace(&served.registry, request.name).map_err(told)?;
        let selectors = ListOptions {
            label_selector: request.label_selector,
            field_selector: request.field_selector,
            ..ListOptions::default()
        };
        let delete = convert::delete_options(request.delete);
        let options = convert::write_options(request.options);
        let deleted = self.pipeline.delete_collection(&user, target, selectors, delete, &options).await;
        let deleted = i64::try_from(deleted.map_err(told)?.count).unwrap_or(i64::MAX);
        Ok(Response::new(proto::DeleteCollectionResponse { deleted }))
    }

    type WatchStream = Streamed<proto::WatchResponse>;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Self::WatchStream> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let start = convert::watch_start(&request.resource_version, request.initial_events()).map_err(told)?;
        let shape = convert::shape(request.view);
        let target = convert::collection(&served.registry, request.name).map_err(told)?;
        let timeout = Some(request.timeout_seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let options = WatchOptions {
            label_selector: request.label_selector,
            field_selector: request.field_selector,
            start,
            bookmarks: true,
            timeout,
        };
        let watch = self.pipeline.watch(&user, &target, options).await.map_err(told)?;
        let shown = self.shown(target.kind, false, shape).map_err(told)?;
        let warnings = convert::warnings(target.kind, Vec::new());
        Ok(Response::new(streams::events(watch, shown, warnings, self.pipeline.shutdown().clone())))
    }

    async fn write(&self, request: Request<proto::WriteRequest>) -> Answer<proto::WriteResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served =
            convert::served(&self.pipeline, request.operations.iter().map(convert::name)).await.map_err(told)?;
        let mut operations: Vec<Operation> = Vec::with_capacity(request.operations.len());
        for (index, operation) in request.operations.into_iter().enumerate() {
            let operation = convert::operation(&served.registry, operation).map_err(|mut status| {
                status.message = format!("operation {index}: {}", status.message);
                grpc(&status)
            })?;
            operations.push(operation);
        }
        let options = convert::write_options(request.options);
        let batch = self.pipeline.write(&user, operations, &options).await.map_err(told)?;
        let objects = batch.results.into_iter().map(|written| match written.outcome {
            Outcome::Removed => proto::Object::default(),
            _ => proto::Object { json: written.json },
        });
        let response =
            proto::WriteResponse { objects: objects.collect(), resource_version: batch.revision.to_string() };
        Ok(Response::new(response))
    }
}
