//! The typed face of the API.

use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_types::Object;

use crate::cluster::Cluster;
use crate::kinds::Kinds;
use crate::raw::{Raw, WriteContext};
use crate::transport::Transport;
use crate::watch::Watch;
use crate::{DeleteOptions, Error, Key, ListOptions, ObjectName, Options, Patch, Resource, WatchOptions};

/// Objects of one kind at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct List<K> {
    pub items: Vec<K>,
    pub resource_version: String,
    /// Where the list goes on; empty when it is complete.
    pub continue_token: String,
}

/// A client of all members. Cloning is cheap, and clones share connections.
///
/// A request goes to the member that answered last and moves on to the next when that one cannot serve it. Reads are
/// tried again until the request timeout. Writes are tried again only while they surely were not done; otherwise they end
/// as [`Error::Unknown`].
#[derive(Clone)]
pub struct Client {
    pub(crate) raw: Raw,
}

impl Client {
    /// Checks the options; connections are made when they are first needed. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Endpoint`] and [`Error::Tls`], when the options cannot be used.
    pub fn connect(options: Options) -> Result<Self, Error> {
        let context = WriteContext {
            fence_term: 0,
            field_manager: Arc::from(options.field_manager.as_str()),
            dry_run: false,
            field_validation: proto::FieldValidation::Unspecified,
        };
        Ok(Self { raw: Raw { transport: Arc::new(Transport::new(&options)?), context } })
    }

    /// A client whose writes are refused ([`Error::is_fenced`]) unless the Raft term is `term`; 0 means no fence.
    pub fn with_fence(&self, term: u64) -> Self {
        let mut client = self.clone();
        client.raw.context.fence_term = term;
        client
    }

    /// A client that writes under this name, at most 128 characters.
    pub fn with_field_manager(&self, field_manager: &str) -> Self {
        let mut client = self.clone();
        client.raw.context.field_manager = Arc::from(field_manager);
        client
    }

    /// The same calls on JSON values, by resource name.
    pub fn raw(&self) -> Raw {
        self.raw.clone()
    }

    /// Members and leadership.
    pub fn cluster(&self) -> Cluster {
        Cluster { transport: self.raw.transport.clone() }
    }

    /// The kinds that users define.
    pub fn kinds(&self) -> Kinds {
        self.raw.kinds()
    }

    /// The endpoints, comma-separated, for messages.
    pub fn addresses(&self) -> String {
        self.raw.transport.addresses()
    }

    /// Reads one object, linearizably. `namespace` is empty for cluster-scoped kinds.
    pub async fn get<K: Object>(&self, namespace: &str, name: &str) -> Result<K, Error> {
        self.raw.get_as(&named::<K>(namespace, name)).await
    }

    /// Absent when the object does not exist.
    pub async fn get_opt<K: Object>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists a namespace, or all with "".
    pub async fn list<K: Object>(&self, namespace: &str, options: &ListOptions) -> Result<List<K>, Error> {
        let list = self.raw.list_as(&named::<K>(namespace, ""), options).await?;
        Ok(List { items: list.items, resource_version: list.resource_version, continue_token: list.continue_token })
    }

    /// Creates `object` and returns it as it is stored. Without a name it needs `metadata.generateName`.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, Error> {
        Ok(self.raw.create_as(&name_of(object), object).await?.object)
    }

    /// Replaces an object; guarded when it has a `metadata.resourceVersion`, as every object read from the API has.
    pub async fn update<K: Object>(&self, object: &K) -> Result<K, Error> {
        Ok(self.raw.update_as(&name_of(object), object).await?.object)
    }

    /// Replaces only the status.
    pub async fn update_status<K: Object>(&self, object: &K) -> Result<K, Error> {
        Ok(self.raw.update_as(&name_of(object).subresource("status"), object).await?.object)
    }

    pub async fn patch<K: Object>(&self, namespace: &str, name: &str, patch: Patch) -> Result<K, Error> {
        Ok(self.raw.patch_as(&named::<K>(namespace, name), &patch).await?.object)
    }

    /// Changes only the status.
    pub async fn patch_status<K: Object>(&self, namespace: &str, name: &str, patch: Patch) -> Result<K, Error> {
        Ok(self.raw.patch_as(&named::<K>(namespace, name).subresource("status"), &patch).await?.object)
    }

    /// Whether the object is gone already; otherwise it waits for its finalizers or its grace period.
    pub async fn delete<K: Object>(&self, namespace: &str, name: &str, options: DeleteOptions) -> Result<bool, Error> {
        self.raw.delete(&named::<K>(namespace, name), &options).await
    }

    /// How many objects were deleted or marked.
    pub async fn delete_collection<K: Object>(
        &self,
        namespace: &str,
        list: &ListOptions,
        options: DeleteOptions,
    ) -> Result<i64, Error> {
        self.raw.delete_collection(&named::<K>(namespace, ""), list, &options).await
    }

    /// Opens a stream of changes of a namespace, or of all with "". It ends with an error when it breaks; most callers
    /// want a [`crate::reflector::Reflector`], which resumes it.
    pub async fn watch<K: Object>(&self, namespace: &str, options: &WatchOptions) -> Result<Watch<K>, Error> {
        self.raw.watch_as(&named::<K>(namespace, ""), options).await
    }
}

fn named<K: Object>(namespace: &str, name: &str) -> ObjectName {
    Resource::of::<K>().object(namespace, name)
}

pub(crate) fn name_of<K: Object>(object: &K) -> ObjectName {
    let key = Key::of(object);
    Resource::of::<K>().object(key.namespace, key.name)
}
