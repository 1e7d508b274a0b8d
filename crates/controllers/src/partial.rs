//! Metadata of an object without the rest, for controllers that look at every kind but read no content.

use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_types::Object;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The metadata of a `K`. It is read and never written: what it leaves out would be lost.
pub struct Partial<K> {
    pub metadata: ObjectMeta,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Partial<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), kind: PhantomData }
    }
}

impl<K: Object> k8s_openapi::Resource for Partial<K> {
    const API_VERSION: &'static str = K::API_VERSION;
    const GROUP: &'static str = K::GROUP;
    const KIND: &'static str = K::KIND;
    const VERSION: &'static str = K::VERSION;
    const URL_PATH_SEGMENT: &'static str = K::URL_PATH_SEGMENT;
    type Scope = K::Scope;
}

impl<K: Object> k8s_openapi::Metadata for Partial<K> {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K> Deserialize<'de> for Partial<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { metadata: Read::deserialize(deserializer)?.metadata, kind: PhantomData })
    }
}

#[derive(Serialize)]
struct Written<'a> {
    metadata: &'a ObjectMeta,
}

impl<K> Serialize for Partial<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { metadata: &self.metadata }.serialize(serializer)
    }
}
