//! One reflector cache per kind, shared by all controllers and kept warm whether this member leads or not.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::reflector::{Cache, Reflector};
use keelson_client::{Client, Resource};
use keelson_types::meta::{self, Key};
use keelson_types::{Object, pods};

use crate::custom::Definition;
use crate::root_ca::Published;
use crate::{Partial, placed};

/// Objects by the UID of each owner.
pub const OWNER: &str = "owner";
/// Objects by namespace; not of every kind.
pub const NAMESPACE: &str = "namespace";
/// Objects without a controlling owner by namespace.
pub const ORPHAN: &str = "orphan";
/// Pods by the node they are bound to.
pub const NODE: &str = "node";
/// Slices by `namespace/service`.
pub const SERVICE: &str = "service";
/// The label that says which Service a slice belongs to.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

#[derive(Clone)]
pub struct Caches {
    /// Without what only their nodes look at, so never to be written back whole.
    pub pods: Cache<Pod>,
    pub replica_sets: Cache<ReplicaSet>,
    pub deployments: Cache<Deployment>,
    pub services: Cache<Service>,
    pub endpoint_slices: Cache<EndpointSlice>,
    pub nodes: Cache<Node>,
    pub leases: Cache<Lease>,
    pub namespaces: Cache<Namespace>,
    pub service_accounts: Cache<ServiceAccount>,
    pub config_maps: Cache<Partial<ConfigMap, Published>>,
    pub secrets: Cache<Partial<Secret>>,
    pub definitions: Cache<Definition>,
}

pub(crate) fn reflector<K: Object>(client: &Client) -> Reflector<K> {
    Reflector::new(client.clone()).add_index(OWNER, |object: &K| {
        object.metadata().owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect()
    })
}

fn namespace<K: Object>(object: &K) -> Vec<String> {
    vec![meta::namespace(object).to_owned()]
}

fn orphan<K: Object>(object: &K) -> Vec<String> {
    match meta::controller_of(object.metadata()) {
        None => vec![meta::namespace(object).to_owned()],
        Some(_) => Vec::new(),
    }
}

impl Caches {
    /// Must be called inside a tokio runtime.
    pub fn start(client: &Client) -> Self {
        Self {
            pods: reflector(client)
                .forget(placed::forget_how_to_run)
                .add_index(NAMESPACE, namespace::<Pod>)
                .add_index(ORPHAN, orphan::<Pod>)
                .add_index(NODE, |pod: &Pod| match pods::node_name(pod) {
                    "" => Vec::new(),
                    node => vec![node.to_owned()],
                })
                .start(),
            replica_sets: reflector(client).add_index(NAMESPACE, namespace::<ReplicaSet>).start(),
            deployments: reflector(client).add_index(NAMESPACE, namespace::<Deployment>).start(),
            services: reflector(client).add_index(NAMESPACE, namespace::<Service>).start(),
            endpoint_slices: reflector(client)
                .add_index(SERVICE, |slice: &EndpointSlice| match meta::label(slice, SERVICE_NAME_LABEL) {
                    "" => Vec::new(),
                    service => vec![Key::new(meta::namespace(slice), service).to_string()],
                })
                .start(),
            nodes: reflector(client).start(),
            leases: reflector(client).start(),
            namespaces: reflector(client).start(),
            service_accounts: reflector(client).start(),
            config_maps: reflector(client).start(),
            secrets: reflector(client).start(),
            definitions: reflector(client).start(),
        }
    }

    /// Every cache, for what is the same for all kinds.
    pub fn all(&self) -> [&dyn AnyCache; 12] {
        [
            &self.pods,
            &self.replica_sets,
            &self.deployments,
            &self.services,
            &self.endpoint_slices,
            &self.nodes,
            &self.leases,
            &self.namespaces,
            &self.service_accounts,
            &self.config_maps,
            &self.secrets,
            &self.definitions,
        ]
    }

    /// Returns when every cache has its first list.
    pub async fn synced(&self) {
        for cache in self.all() {
            cache.reached(0).await;
        }
    }

    /// The cache of a resource, when there is one.
    pub fn of(&self, resource: &Resource) -> Option<&dyn AnyCache> {
        self.all().into_iter().find(|cache| {
            let cached = cache.resource();
            cached.resource == resource.resource && cached.group == resource.group
        })
    }
}

/// An object of any kind, as far as ownership goes.
#[derive(Clone, Debug, PartialEq)]
pub struct AnyObject {
    pub resource: Resource,
    pub metadata: Arc<ObjectMeta>,
}

impl AnyObject {
    pub fn of<K: Object>(object: &K) -> Self {
        Self { resource: Resource::of::<K>(), metadata: Arc::new(object.metadata().clone()) }
    }
}

/// A cache whose kind is known only at run time.
pub trait AnyCache: Send + Sync {
    fn resource(&self) -> Resource;
    fn find(&self, key: &Key) -> Option<AnyObject>;
    fn owned_by(&self, uid: &str) -> Vec<AnyObject>;
    fn has_reached(&self, revision: i64) -> bool;
    /// Returns when the cache is synced and complete up to `revision`.
    fn reached(&self, revision: i64) -> futures::future::BoxFuture<'_, ()>;
}

impl<K: Object> AnyCache for Cache<K> {
    fn resource(&self) -> Resource {
        Resource::of::<K>()
    }

    fn find(&self, key: &Key) -> Option<AnyObject> {
        self.get_key(key).map(|object| AnyObject::of(object.as_ref()))
    }

    fn owned_by(&self, uid: &str) -> Vec<AnyObject> {
        self.by_index(OWNER, uid).iter().map(|object| AnyObject::of(object.as_ref())).collect()
    }

    fn has_reached(&self, revision: i64) -> bool {
        self.is_synced() && self.revision() >= revision
    }

    fn reached(&self, revision: i64) -> futures::future::BoxFuture<'_, ()> {
        Box::pin(Cache::reached(self, revision))
    }
}
