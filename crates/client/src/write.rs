//! Several writes in one log entry: all of them or none.

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::write_request::operation::Operation as Wire;
use keelson_types::Object;
use serde_json::Value;

use crate::client::name_of;
use crate::raw::{encode, objects};
use crate::transport::Safety;
use crate::{Client, DeleteOptions, Error, ObjectName, Patch, Resource};

/// One write of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation(Wire);

impl Operation {
    /// Creates `object`.
    pub fn create<K: Object>(object: &K) -> Result<Self, Error> {
        let name = name_of(object);
        let encoded = encode(object, &name)?;
        Ok(Self(Wire::Create(proto::CreateRequest {
            name: Some(name.to_proto()),
            object: Some(encoded),
            options: None,
        })))
    }

    /// Replaces an object, guarded by its `metadata.resourceVersion`.
    pub fn update<K: Object>(object: &K) -> Result<Self, Error> {
        Self::replace(object, "")
    }

    /// Replaces only the status.
    pub fn update_status<K: Object>(object: &K) -> Result<Self, Error> {
        Self::replace(object, "status")
    }

    fn replace<K: Object>(object: &K, subresource: &str) -> Result<Self, Error> {
        let name = name_of(object).subresource(subresource);
        let encoded = encode(object, &name)?;
        Ok(Self(Wire::Update(proto::UpdateRequest {
            name: Some(name.to_proto()),
            object: Some(encoded),
            options: None,
        })))
    }

    pub fn patch<K: Object>(namespace: &str, name: &str, patch: &Patch) -> Result<Self, Error> {
        Self::change::<K>(namespace, name, "", patch)
    }

    /// Changes only the status.
    pub fn patch_status<K: Object>(namespace: &str, name: &str, patch: &Patch) -> Result<Self, Error> {
        Self::change::<K>(namespace, name, "status", patch)
    }

    fn change<K: Object>(namespace: &str, name: &str, subresource: &str, patch: &Patch) -> Result<Self, Error> {
        let name = Resource::of::<K>().object(namespace, name).subresource(subresource);
        Ok(Self(Wire::Patch(proto::PatchRequest {
            name: Some(name.to_proto()),
            r#type: patch.proto_type().into(),
            patch: encode(patch.value(), &name)?.json,
            options: None,
        })))
    }

    pub fn delete<K: Object>(namespace: &str, name: &str, options: &DeleteOptions) -> Self {
        let name = Resource::of::<K>().object(namespace, name);
        Self(Wire::Delete(proto::DeleteRequest {
            name: Some(name.to_proto()),
            delete: Some(options.to_proto()),
            options: None,
        }))
    }

    /// Replaces an object, or one of its subresources, known only by name.
    pub fn update_named(name: &ObjectName, object: &Value) -> Result<Self, Error> {
        let encoded = encode(object, name)?;
        Ok(Self(Wire::Update(proto::UpdateRequest {
            name: Some(name.to_proto()),
            object: Some(encoded),
            options: None,
        })))
    }

    /// Changes an object, or one of its subresources, known only by name.
    pub fn patch_named(name: &ObjectName, patch: &Patch) -> Result<Self, Error> {
        Ok(Self(Wire::Patch(proto::PatchRequest {
            name: Some(name.to_proto()),
            r#type: patch.proto_type().into(),
            patch: encode(patch.value(), name)?.json,
            options: None,
        })))
    }

    /// Deletes an object known only by name.
    pub fn delete_named(name: &ObjectName, options: &DeleteOptions) -> Self {
        Self(Wire::Delete(proto::DeleteRequest {
            name: Some(name.to_proto()),
            delete: Some(options.to_proto()),
            options: None,
        }))
    }

    /// Sets the node of a pod that has none; the UID guards it.
    pub fn bind(namespace: &str, pod: &str, uid: &str, node: &str) -> Self {
        Self(Wire::Bind(proto::BindRequest {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            node: node.to_owned(),
        }))
    }
}

/// The answer to a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteResult {
    /// The revision at which all of it became visible.
    pub resource_version: String,
    objects: Vec<Bytes>,
}

impl WriteResult {
    /// The object that operation number `index` left behind; absent for a deletion and for a binding.
    pub fn object<K: Object>(&self, index: usize) -> Result<Option<K>, Error> {
        match self.objects.get(index) {
            Some(json) if !json.is_empty() => serde_json::from_slice(json)
                .map(Some)
                .map_err(|source| Error::Decode { what: Resource::of::<K>().qualified(), source }),
            _ => Ok(None),
        }
    }
}

impl Client {
    /// Writes all of `operations` or none, at one revision. At most 4,096 operations and 8 MiB.
    pub async fn write(&self, operations: Vec<Operation>) -> Result<WriteResult, Error> {
        let operations = operations
            .into_iter()
            .map(|Operation(operation)| proto::write_request::Operation { operation: Some(operation) })
            .collect();
        let request = proto::WriteRequest { operations, options: Some(self.raw.context.to_proto()) };
        let response = self
            .raw
            .transport
            .call(Safety::Write, |channel| {
                let request = request.clone();
                async move { objects(channel).write(request).await }
            })
            .await?
            .into_inner();
        Ok(WriteResult {
            resource_version: response.resource_version,
            objects: response.objects.into_iter().map(|object| object.json).collect(),
        })
    }
}
