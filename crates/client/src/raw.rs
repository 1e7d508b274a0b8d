//! Objects of any kind, by resource name, as JSON values or as whatever they decode into. [`crate::Client`] is this with
//! the types filled in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::transport::Channel;

use crate::transport::{MESSAGE_BYTES_MAX, Safety, Transport};
use crate::watch::Watch;
use crate::{DeleteOptions, Error, Kinds, ListOptions, ObjectName, Patch, WatchOptions};

/// How long the next chunk of a list may take. A member that dies is noticed earlier, by its connection.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer with the warnings that came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Warned<T> {
    pub object: T,
    pub warnings: Vec<String>,
}

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Configured,
    Unchanged,
}

/// The answer to an apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub object: Value,
    pub outcome: Outcome,
    pub warnings: Vec<String>,
}

/// A list at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct RawList<T = Value> {
    pub items: Vec<T>,
    pub resource_version: String,
    /// Where the list goes on; empty when it is complete.
    pub continue_token: String,
}

/// How the caller writes.
#[derive(Clone, Debug)]
pub(crate) struct WriteContext {
    pub fence_term: u64,
    pub field_manager: Arc<str>,
    pub dry_run: bool,
    pub field_validation: proto::FieldValidation,
}

impl WriteContext {
    pub fn to_proto(&self) -> proto::WriteOptions {
        proto::WriteOptions {
            fence_term: self.fence_term,
            dry_run: self.dry_run,
            field_validation: self.field_validation.into(),
            field_manager: self.field_manager.to_string(),
        }
    }
}

/// Objects by resource name.
#[derive(Clone)]
pub struct Raw {
    pub(crate) transport: Arc<Transport>,
    pub(crate) context: WriteContext,
}

pub(crate) fn objects(channel: Channel) -> ObjectsClient<Channel> {
    ObjectsClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl Raw {
    /// Everything but the write itself happens.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.context.dry_run = dry_run;
        self
    }

    /// The kinds that users define.
    pub fn kinds(&self) -> Kinds {
        Kinds { transport: self.transport.clone() }
    }

    /// Who writes, at most 128 characters.
    pub fn field_manager(mut self, field_manager: &str) -> Self {
        self.context.field_manager = Arc::from(field_manager);
        self
    }

    /// How unknown and duplicate fields are treated; strictly unless told otherwise.
    pub fn field_validation(mut self, field_validation: proto::FieldValidation) -> Self {
        self.context.field_validation = field_validation;
        self
    }

    pub async fn get(&self, name: &ObjectName) -> Result<Value, Error> {
        self.get_as(name).await
    }

    pub(crate) async fn get_as<T: DeserializeOwned>(&self, name: &ObjectName) -> Result<T, Error> {
        let request = proto::GetRequest { name: Some(name.to_proto()), ..proto::GetRequest::default() };
        let response = self
            .transport
            .call(Safety::Read, |channel| {
                let request = request.clone();
                async move { objects(channel).get(request).await }
            })
            .await?;
        decode(response.into_inner().object, name)
    }

    /// The whole list, or its first `limit` objects. `name.name` is ignored.
    pub async fn list(&self, name: &ObjectName, options: &ListOptions) -> Result<RawList, Error> {
        self.list_as(name, options).await
    }

    pub(crate) async fn list_as<T: DeserializeOwned>(
        &self,
        name: &ObjectName,
        options: &ListOptions,
    ) -> Result<RawList<T>, Error> {
        let request = proto::ListRequest {
            name: Some(name.to_proto()),
            label_selector: options.label_selector.clone(),
            field_selector: options.field_selector.clone(),
            limit: options.limit,
            r#continue: options.continue_token.clone(),
            resource_version: options.resource_version.clone(),
            ..proto::ListRequest::default()
        };
        // A list that breaks in the middle starts over on another member: half a list is worth nothing.
        let chunks = self
            .transport
            .call(Safety::LongRead, |channel| {
                let request = request.clone();
                async move {
                    let mut stream = in_time(objects(channel).list(request)).await?.into_inner();
                    let mut chunks = Vec::new();
                    while let Some(chunk) = in_time(stream.message()).await? {
                        chunks.push(chunk);
                    }
                    Ok(chunks)
                }
            })
            .await?;
        let mut list = RawList { items: Vec::new(), resource_version: String::new(), continue_token: String::new() };
        for chunk in chunks {
            list.resource_version = chunk.resource_version;
            list.continue_token = chunk.r#continue;
            list.items.reserve(chunk.objects.len());
            for object in chunk.objects {
                list.items.push(decode(Some(object), name)?);
            }
        }
        Ok(list)
    }

    /// `name.name` may be empty when the object has `metadata.generateName`.
    pub async fn create(&self, name: &ObjectName, object: &Value) -> Result<Warned<Value>, Error> {
        self.create_as(name, object).await
    }

    pub(crate) async fn create_as<T: Serialize + DeserializeOwned>(
        &self,
        name: &ObjectName,
        object: &T,
    ) -> Result<Warned<T>, Error> {
        let request = proto::CreateRequest {
            name: Some(name.to_proto()),
            object: Some(encode(object, name)?),
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).create(request).await }
            })
            .await?
            .into_inner();
        Ok(Warned { object: decode(response.object, name)?, warnings: response.warnings })
    }

    /// Replaces the object; guarded when it has a `metadata.resourceVersion`.
    pub async fn update(&self, name: &ObjectName, object: &Value) -> Result<Warned<Value>, Error> {
        self.update_as(name, object).await
    }

    pub(crate) async fn update_as<T: Serialize + DeserializeOwned>(
        &self,
        name: &ObjectName,
        object: &T,
    ) -> Result<Warned<T>, Error> {
        let request = proto::UpdateRequest {
            name: Some(name.to_proto()),
            object: Some(encode(object, name)?),
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).update(request).await }
            })
            .await?
            .into_inner();
        Ok(Warned { object: decode(response.object, name)?, warnings: response.warnings })
    }

    /// Creates the object, or merges it into the one that exists, as `kubectl apply` does.
    pub async fn apply(&self, name: &ObjectName, object: &Value) -> Result<Applied, Error> {
        use proto::apply_response::Outcome as Wire;
        let request = proto::ApplyRequest {
            name: Some(name.to_proto()),
            object: Some(encode(object, name)?),
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).apply(request).await }
            })
            .await?
            .into_inner();
        let outcome = match response.outcome() {
            Wire::Created => Outcome::Created,
            Wire::Configured => Outcome::Configured,
            Wire::Unchanged => Outcome::Unchanged,
            Wire::Unspecified => return Err(Error::Incomplete { what: "the outcome of the apply" }),
        };
        Ok(Applied { object: decode(response.object, name)?, outcome, warnings: response.warnings })
    }

    /// Merges what this field manager wants into what others have, as `kubectl apply --server-side` does. With `force`, it
    /// takes over fields that others have with other values.
    pub async fn server_side_apply(&self, name: &ObjectName, object: &Value, force: bool) -> Result<Applied, Error> {
        use proto::server_side_apply_response::Outcome as Wire;
        let request = proto::ServerSideApplyRequest {
            name: Some(name.to_proto()),
            object: Some(encode(object, name)?),
            force,
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).server_side_apply(request).await }
            })
            .await?
            .into_inner();
        let outcome = match response.outcome() {
            Wire::Created => Outcome::Created,
            Wire::Configured => Outcome::Configured,
            Wire::Unchanged => Outcome::Unchanged,
            Wire::Unspecified => return Err(Error::Incomplete { what: "the outcome of the apply" }),
        };
        Ok(Applied { object: decode(response.object, name)?, outcome, warnings: response.warnings })
    }

    pub async fn patch(&self, name: &ObjectName, patch: &Patch) -> Result<Warned<Value>, Error> {
        self.patch_as(name, patch).await
    }

    pub(crate) async fn patch_as<T: DeserializeOwned>(
        &self,
        name: &ObjectName,
        patch: &Patch,
    ) -> Result<Warned<T>, Error> {
        let request = proto::PatchRequest {
            name: Some(name.to_proto()),
            r#type: patch.proto_type().into(),
            patch: encode(patch.value(), name)?.json,
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).patch(request).await }
            })
            .await?
            .into_inner();
        Ok(Warned { object: decode(response.object, name)?, warnings: response.warnings })
    }

    /// Whether the object is gone already; otherwise it waits for its finalizers or its grace period.
    pub async fn delete(&self, name: &ObjectName, options: &DeleteOptions) -> Result<bool, Error> {
        let request = proto::DeleteRequest {
            name: Some(name.to_proto()),
            delete: Some(options.to_proto()),
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).delete(request).await }
            })
            .await?;
        Ok(response.into_inner().removed)
    }

    /// How many objects were deleted or marked. `list`'s limit, token and revision are ignored.
    pub async fn delete_collection(
        &self,
        name: &ObjectName,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<i64, Error> {
        let request = proto::DeleteCollectionRequest {
            name: Some(name.to_proto()),
            label_selector: list.label_selector.clone(),
            field_selector: list.field_selector.clone(),
            delete: Some(options.to_proto()),
            options: Some(self.context.to_proto()),
        };
        let response = self
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).delete_collection(request).await }
            })
            .await?;
        Ok(response.into_inner().deleted)
    }

    /// Opens a stream of changes. It ends with an error when it breaks; resume it from the last revision seen.
    pub async fn watch(&self, name: &ObjectName, options: &WatchOptions) -> Result<Watch<Value>, Error> {
        self.watch_as(name, options).await
    }

    pub(crate) async fn watch_as<T: DeserializeOwned>(
        &self,
        name: &ObjectName,
        options: &WatchOptions,
    ) -> Result<Watch<T>, Error> {
        let request = proto::WatchRequest {
            name: Some(name.to_proto()),
            label_selector: options.label_selector.clone(),
            field_selector: options.field_selector.clone(),
            resource_version: options.resource_version.clone(),
            ..proto::WatchRequest::default()
        };
        let stream = self
            .transport
            .call(Safety::Read, |channel| {
                let request = request.clone();
                async move { objects(channel).watch(request).await }
            })
            .await?
            .into_inner();
        Ok(Watch::new(stream, self.transport.clone(), name.resource.qualified()))
    }
}

/// One step of a list, or the status of a member that is too slow.
async fn in_time<T>(step: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, tonic::Status> {
    let late = |_| tonic::Status::deadline_exceeded("the list stopped half-way");
    tokio::time::timeout(CHUNK_TIMEOUT, step).await.map_err(late)?
}

pub(crate) fn encode<T: Serialize>(object: &T, name: &ObjectName) -> Result<proto::Object, Error> {
    let json =
        serde_json::to_vec(object).map_err(|source| Error::Encode { what: name.resource.qualified(), source })?;
    Ok(proto::Object { json: Bytes::from(json) })
}

fn decode<T: DeserializeOwned>(object: Option<proto::Object>, name: &ObjectName) -> Result<T, Error> {
    let object = object.ok_or(Error::Incomplete { what: "the object" })?;
    serde_json::from_slice(&object.json).map_err(|source| Error::Decode { what: name.resource.qualified(), source })
}
