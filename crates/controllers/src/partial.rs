//! An object of which only a part is kept, for controllers that look at every kind but read little of its content.

use std::marker::PhantomData;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The metadata of a `K`, and `part` of its content. It is read and never written: what it leaves out would be lost.
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
    #[serde(default)]
    metadata: ObjectMeta,
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
