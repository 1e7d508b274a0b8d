//! An object of which only a part is kept, for controllers that look at every kind but read little of its content.

use std::marker::PhantomData;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which object this is, who owns it and whether it goes, and `part` of its content. Its other metadata are not kept: labels and
/// annotations take more memory than all of the rest. It is read and never written: what it leaves out would be lost.
pub struct Partial<K, P = ()> {
    pub metadata: ObjectMeta,
    pub part: P,
    kind: PhantomData<fn() -> K>,
}

/// What is kept of an object beside its metadata.
pub trait Part: Clone + Send + Sync + 'static {
    /// As much of the object as is looked at.
    type Read: DeserializeOwned;

    fn of(read: Self::Read) -> (ObjectMeta, Self);
}

#[derive(Deserialize)]
pub struct Metadata {
    #[serde(default, deserialize_with = "ownership")]
    metadata: ObjectMeta,
}

/// As much of an object's metadata as is kept.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ownership {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// Reads metadata without what is not kept.
///
/// # Errors
/// When what is kept is not of its type.
pub(crate) fn ownership<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Ownership { name, namespace, uid, resource_version, deletion_timestamp, finalizers, owner_references } =
        Ownership::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name,
        namespace,
        uid,
        resource_version,
        deletion_timestamp,
        finalizers,
        owner_references,
        ..ObjectMeta::default()
    })
}

/// Nothing.
impl Part for () {
    type Read = Metadata;

    fn of(read: Metadata) -> (ObjectMeta, Self) {
        (read.metadata, ())
    }
}

/// A kind that is known only at run time: whoever caches such objects says which resource they are of.
pub struct Unnamed;

impl k8s_openapi::Resource for Unnamed {
    const API_VERSION: &'static str = "";
    const GROUP: &'static str = "";
    const KIND: &'static str = "";
    const VERSION: &'static str = "";
    const URL_PATH_SEGMENT: &'static str = "";
    type Scope = ClusterResourceScope;
}

impl<K, P: Clone> Clone for Partial<K, P> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), part: self.part.clone(), kind: PhantomData }
    }
}

impl<K: k8s_openapi::Resource, P> k8s_openapi::Resource for Partial<K, P> {
    const API_VERSION: &'static str = K::API_VERSION;
    const GROUP: &'static str = K::GROUP;
    const KIND: &'static str = K::KIND;
    const VERSION: &'static str = K::VERSION;
    const URL_PATH_SEGMENT: &'static str = K::URL_PATH_SEGMENT;
    type Scope = K::Scope;
}

impl<K: k8s_openapi::Resource, P> k8s_openapi::Metadata for Partial<K, P> {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, K, P: Part> Deserialize<'de> for Partial<K, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (metadata, part) = P::of(P::Read::deserialize(deserializer)?);
        Ok(Self { metadata, part, kind: PhantomData })
    }
}

#[derive(Serialize)]
struct Written<'a> {
    metadata: &'a ObjectMeta,
}

impl<K, P> Serialize for Partial<K, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { metadata: &self.metadata }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_object_only_what_ownership_asks_for_is_kept() {
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "2", "controller": true });
        let kept = json!({
            "name": "m", "namespace": "blue", "uid": "1", "resourceVersion": "7", "deletionTimestamp": "2026-01-02T03:04:05Z",
            "finalizers": ["orphan"], "ownerReferences": [owner],
        });
        let mut all = kept.clone();
        all["labels"] = json!({ "app": "web" });
        all["annotations"] = json!({ "note": "long" });
        all["managedFields"] = json!([{ "manager": "kubectl", "fieldsV1": { "f:data": {} } }]);
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": all, "data": { "key": "value" } });
        let read: Partial<ConfigMap> = serde_json::from_value(object).expect("is read");
        assert_eq!(read.metadata, serde_json::from_value(kept).expect("is metadata"));
    }
}
