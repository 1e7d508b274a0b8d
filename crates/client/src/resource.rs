//! How a kind and an object are named in requests.

use keelson_proto::keelson::api::v1 as proto;
use keelson_types::Object;

/// A kind by the plural name that its paths use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// Empty for the preferred version.
    pub version: String,
    /// The plural: `deployments`.
    pub resource: String,
}

impl Resource {
    pub fn new(group: impl Into<String>, version: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// The resource of a typed object.
    pub fn of<K: Object>() -> Self {
        Self::new(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT)
    }

    /// `deployments.apps`, or `pods` in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) }
    }

    pub fn object(&self, namespace: impl Into<String>, name: impl Into<String>) -> ObjectName {
        ObjectName {
            resource: self.clone(),
            namespace: namespace.into(),
            name: name.into(),
            subresource: String::new(),
        }
    }
}

/// One object, or one of its subresources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    pub resource: Resource,
    /// Empty for cluster-scoped kinds, and in lists and watches for all namespaces.
    pub namespace: String,
    pub name: String,
    /// "", "status" or "scale".
    pub subresource: String,
}

impl ObjectName {
    pub fn subresource(mut self, subresource: impl Into<String>) -> Self {
        self.subresource = subresource.into();
        self
    }

    pub(crate) fn to_proto(&self) -> proto::ObjectName {
        proto::ObjectName {
            resource: Some(proto::Resource {
                group: self.resource.group.clone(),
                version: self.resource.version.clone(),
                resource: self.resource.resource.clone(),
            }),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            subresource: self.subresource.clone(),
        }
    }
}
