//! `keelson.api.v1.Objects`.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_server::Objects;
use keelson_types::status::{Reason, Status};
use tonic::{Code, Request, Response};

use super::{convert, user};
use crate::custom::Served;
use crate::pipeline::{
    ChangeKind, Items, ListOptions, Operation, Outcome, Pipeline, ReadVersion, Watch, WatchItem, WatchOptions,
    WatchStart, Written,
};
use crate::status_code::{grpc, grpc_with};

/// Objects in one message of a list.
const CHUNK_MAX: usize = 500;
/// Bytes in one message: tonic's clients take 4 MiB unless told otherwise, and an object may have 1.5.
const CHUNK_BYTES_MAX: usize = 1 << 20;

type Answer<T> = Result<Response<T>, tonic::Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

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
        let json = self.pipeline.get(&user, &target, ReadVersion::MostRecent).await.map_err(told)?;
        Ok(Response::new(proto::GetResponse { object: Some(proto::Object { json }) }))
    }

    type ListStream = Streamed<proto::ListResponse>;

    async fn list(&self, request: Request<proto::ListRequest>) -> Answer<Self::ListStream> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::collection(&served.registry, request.name).map_err(told)?;
        let options = ListOptions {
            label_selector: request.label_selector,
            field_selector: request.field_selector,
            limit: usize::try_from(request.limit).unwrap_or(0),
            continue_token: request.r#continue,
            version: convert::read_version(&request.resource_version).map_err(told)?,
        };
        let list = self.pipeline.list(&user, &target, options).await.map_err(told)?;
        Ok(Response::new(chunks(list.items, list.resource_version.to_string(), list.continue_token)))
    }

    async fn create(&self, request: Request<proto::CreateRequest>) -> Answer<proto::CreateResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::in_namespace(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let written = self.pipeline.create(&user, target, body, &options).await.map_err(told)?;
        Ok(Response::new(proto::CreateResponse { object: object(&written), warnings: written.warnings }))
    }

    async fn update(&self, request: Request<proto::UpdateRequest>) -> Answer<proto::UpdateResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let written = self.pipeline.update(&user, target, body, &options).await.map_err(told)?;
        Ok(Response::new(proto::UpdateResponse { object: object(&written), warnings: written.warnings }))
    }

    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Answer<proto::ApplyResponse> {
        use proto::apply_response::Outcome as Told;
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::in_namespace(&served.registry, request.name).map_err(told)?;
        let body = convert::body(request.object).map_err(told)?;
        let options = convert::write_options(request.options);
        let written = self.pipeline.apply(&user, target, body, &options).await.map_err(told)?;
        let outcome = match written.outcome {
            Outcome::Created => Told::Created,
            Outcome::Unchanged => Told::Unchanged,
            Outcome::Configured | Outcome::Removed | Outcome::Deleting => Told::Configured,
        };
        let response =
            proto::ApplyResponse { object: object(&written), outcome: outcome as i32, warnings: written.warnings };
        Ok(Response::new(response))
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
            warnings: written.warnings,
        }))
    }

    async fn patch(&self, request: Request<proto::PatchRequest>) -> Answer<proto::PatchResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let patch_type = convert::patch_type(request.r#type()).map_err(told)?;
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let options = convert::write_options(request.options);
        let patched = self.pipeline.patch(&user, target, patch_type, request.patch, &options).await;
        let written = patched.map_err(told)?;
        Ok(Response::new(proto::PatchResponse { object: object(&written), warnings: written.warnings }))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Answer<proto::DeleteResponse> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        let served = self.served(request.name.as_ref()).await?;
        let target = convert::one(&served.registry, request.name).map_err(told)?;
        let delete = convert::delete_options(request.delete);
        let options = convert::write_options(request.options);
        let written = self.pipeline.delete(&user, target, delete, &options).await.map_err(told)?;
        let removed = written.outcome == Outcome::Removed;
        Ok(Response::new(proto::DeleteResponse { object: object(&written), removed }))
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
        let target = convert::collection(&served.registry, request.name).map_err(told)?;
        let start = match request.resource_version.as_str() {
            "" => WatchStart::Initial(ReadVersion::MostRecent),
            version => WatchStart::After(convert::revision(version).map_err(told)?),
        };
        let options = WatchOptions {
            label_selector: request.label_selector,
            field_selector: request.field_selector,
            start,
            bookmarks: true,
            timeout: None,
        };
        let watch = self.pipeline.watch(&user, &target, options).await.map_err(told)?;
        Ok(Response::new(events(watch)))
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

/// A list in messages of bounded size. There is always one, since it tells the revision.
fn chunks(items: Items, resource_version: String, continue_token: String) -> Streamed<proto::ListResponse> {
    let state = (items.chunked(), true);
    Box::pin(stream::unfold(state, move |(mut items, first)| {
        let (resource_version, continue_token) = (resource_version.clone(), continue_token.clone());
        async move {
            let (chunk, last) = items.take(CHUNK_MAX, CHUNK_BYTES_MAX);
            if chunk.is_empty() && !first {
                return None;
            }
            let response = proto::ListResponse {
                objects: chunk.iter().map(|object| convert::object(object)).collect(),
                resource_version,
                r#continue: if last { continue_token } else { String::new() },
            };
            Some((Ok(response), (items, false)))
        }
    }))
}

fn events(watch: Watch) -> Streamed<proto::WatchResponse> {
    Box::pin(stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Some(Ok(item)) => Some((Ok(response(item)), Some(watch))),
            Some(Err(status)) => {
                // The stream can be resumed, elsewhere if need be.
                let error = match status.reason {
                    Reason::Expired | Reason::Gone => grpc(&status),
                    _ => grpc_with(Code::Unavailable, &status),
                };
                Some((Err(error), None))
            }
            None => {
                let status = Status::unavailable("this member is stopping; watch another");
                Some((Err(grpc(&status)), None))
            }
        }
    }))
}

fn response(item: WatchItem) -> proto::WatchResponse {
    use proto::watch_response::{Event, Type};
    match item {
        WatchItem::Changes { revision, changes } => {
            let events = changes.iter().map(|change| {
                let r#type = match change.kind {
                    ChangeKind::Added => Type::Added,
                    ChangeKind::Modified => Type::Modified,
                    ChangeKind::Deleted => Type::Deleted,
                };
                Event { r#type: r#type as i32, object: Some(convert::object(&change.object)) }
            });
            proto::WatchResponse {
                events: events.collect(),
                resource_version: revision.to_string(),
                initial_events_end: false,
            }
        }
        WatchItem::Bookmark { revision, initial_events_end } => proto::WatchResponse {
            events: vec![Event { r#type: Type::Bookmark as i32, object: None }],
            resource_version: revision.to_string(),
            initial_events_end,
        },
    }
}
