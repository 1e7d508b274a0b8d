//! What the garbage collector looks at: caches of the program's kinds and of users', and reads before it deletes.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use keelson_client::{Client, Error, Resource};
use keelson_types::meta::Key;
use keelson_types::{Object, registry};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::absent::Absent;
use super::owner::Kind;
use super::{FOREGROUND, ORPHAN, Owner, Snapshot, Target, has_finalizer, name, owner, plan, unseen};
use crate::caches::{AnyObject, Caches};
use crate::custom::{self, Customs};
use crate::driver::{Controller, Signals};
use crate::plan::Plan;

pub(crate) struct Loop {
    caches: Caches,
    custom: Customs,
    client: Client,
    absent: Mutex<Absent>,
}

impl Loop {
    pub fn new(caches: Caches, client: Client) -> Self {
        let custom = Customs::new(caches.definitions.clone());
        Self { caches, custom, client, absent: Mutex::default() }
    }

    fn find(&self, resource: &Resource, key: &Key) -> Option<AnyObject> {
        match self.caches.of(resource) {
            Some(cache) => cache.find(key),
            None => self.custom.find(resource, key),
        }
    }

    fn dependents(&self, metadata: &ObjectMeta) -> Vec<AnyObject> {
        let Some(uid) = metadata.uid.as_deref().filter(|uid| !uid.is_empty()) else { return Vec::new() };
        let mut dependents: Vec<_> = self.caches.all().into_iter().flat_map(|cache| cache.owned_by(uid)).collect();
        dependents.extend(self.custom.owned_by(uid));
        dependents
    }

    /// `None` for a kind that is not served.
    fn kind(&self, reference: &OwnerReference) -> Option<Kind> {
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        if let Some(kind) = registry::by_kind(group, &reference.kind) {
            let resource = Resource::new(kind.group, kind.version, kind.plural);
            return Some(Kind { resource, namespaced: kind.namespaced, custom: None });
        }
        let custom = self.custom.kind(group, &reference.kind)?;
        Some(Kind { resource: custom.resource.clone(), namespaced: custom.namespaced, custom: Some(custom) })
    }

    async fn owner(&self, dependent: &AnyObject, reference: &OwnerReference) -> Result<Owner, Error> {
        let namespace = dependent.metadata.namespace.as_deref().unwrap_or_default();
        let Some(kind) = self.kind(reference) else {
            let gone = self.absent.lock().was_seen(&reference.uid);
            return Ok(if gone { Owner::Gone } else { Owner::Present });
        };
        let Some(meant) = kind.meant(namespace, reference) else { return Ok(Owner::Present) };
        if let Some(owner) = self.find(&meant.resource, &meant.key)
            && owner.metadata.uid.as_deref() == Some(reference.uid.as_str())
        {
            let waits = owner.metadata.deletion_timestamp.is_some() && has_finalizer(&owner, FOREGROUND);
            return Ok(if waits { Owner::WaitsForDependents } else { Owner::Present });
        }
        let (reader, custom) = (self.client.raw(), kind.custom.as_ref());
        let gone = owner::is_gone(&reader, &self.absent, custom, meant, &reference.uid).await?;
        Ok(if gone { Owner::Gone } else { Owner::Present })
    }

    /// A change concerns the object itself, when ownership may ask something of it, and, when it goes away or waits for
    /// its dependents, those.
    fn concerned(&self, resource: &Resource, old: Option<&ObjectMeta>, new: Option<&ObjectMeta>) -> Vec<Target> {
        let mut targets = Vec::new();
        if let Some(new) = new {
            let deleting = new.deletion_timestamp.is_some();
            let finalized = new.finalizers.iter().flatten().any(|known| known == FOREGROUND || known == ORPHAN);
            let had = old.and_then(|old| old.owner_references.clone());
            if (deleting && finalized) || (new.owner_references.is_some() && new.owner_references != had) {
                let key = Key::new(new.namespace.clone().unwrap_or_default(), new.name.clone().unwrap_or_default());
                targets.push(Target { resource: resource.clone(), key });
            }
            if deleting && finalized {
                targets.extend(self.dependents(new).iter().map(target));
            }
        }
        let gone = old.filter(|old| new.is_none_or(|new| new.uid != old.uid));
        if let Some(gone) = gone {
            targets.extend(self.dependents(gone).iter().map(target));
            // An owner may be waiting for this one.
            for reference in gone.owner_references.iter().flatten() {
                let namespace = gone.namespace.as_deref().unwrap_or_default();
                targets.extend(self.kind(reference).and_then(|kind| kind.meant(namespace, reference)));
            }
        }
        targets
    }

    /// An object of a user's kind went. Its dependents may be looked at only when its kind is gone, too.
    fn see(&self, old: Option<&ObjectMeta>, new: Option<&ObjectMeta>) {
        let gone = old.filter(|old| new.is_none_or(|new| new.uid != old.uid));
        if let Some(gone) = gone
            && let Some(uid) = &gone.uid
            && !self.dependents(gone).is_empty()
        {
            self.absent.lock().see(uid.clone());
        }
    }

    fn concerned_by<K: Object>(&self, old: Option<&K>, new: Option<&K>) -> Vec<Target> {
        self.concerned(&Resource::of::<K>(), old.map(K::metadata), new.map(K::metadata))
    }
}

pub(super) fn target(object: &AnyObject) -> Target {
    let name = name(object);
    Target { resource: name.resource, key: Key::new(name.namespace, name.name) }
}

macro_rules! for_each_cache {
    ($caches:expr, $cache:ident => $body:expr) => {{
        let caches = $caches;
        for_each_cache!(@ caches, $cache => $body; pods replica_sets deployments services endpoint_slices nodes leases
            namespaces service_accounts config_maps secrets definitions);
    }};
    (@ $caches:ident, $cache:ident => $body:expr; $($field:ident)*) => {
        $({
            let $cache = &$caches.$field;
            $body;
        })*
    };
}

impl Controller for Loop {
    type Key = Target;
    const NAME: &'static str = "garbage-collector";

    fn signals(self: &Arc<Self>, signals: &mut Signals<Target>) {
        for_each_cache!(&self.caches, cache => {
            let this = self.clone();
            signals.on(cache, move |change| this.concerned_by(change.old.as_deref(), change.new.as_deref()))
        });
        let defined = Arc::new(Notify::new());
        let changed = defined.clone();
        signals.on(&self.caches.definitions, move |_| {
            changed.notify_one();
            Vec::new()
        });
        let (this, later) = (self.clone(), signals.later());
        // Dropped with the task that follows, and each ends with its cache.
        let mut listeners = JoinSet::new();
        signals.spawn(custom::follow(self.custom.clone(), self.client.clone(), defined, move |resource, cache| {
            while listeners.try_join_next().is_some() {}
            let (this, resource) = (this.clone(), resource.clone());
            listeners.spawn(later.on(cache, move |change| {
                let (old, new) = (change.old.as_deref(), change.new.as_deref());
                let (old, new) = (old.map(|old| &old.metadata), new.map(|new| &new.metadata));
                this.see(old, new);
                this.concerned(&resource, old, new)
            }));
        }));
    }

    fn keys(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for_each_cache!(&self.caches, cache => {
            for object in cache.list() {
                targets.extend(self.concerned_by(None, Some(object.as_ref())));
            }
        });
        for (resource, object) in self.custom.list() {
            targets.extend(self.concerned(&resource, None, Some(&object.metadata)));
        }
        targets
    }

    async fn reconcile(&self, key: &Target) -> Result<Plan, Error> {
        let object = self.find(&key.resource, &key.key);
        let mut snapshot = Snapshot { object, owners: Vec::new(), dependents: Vec::new(), unseen: Vec::new() };
        let Some(object) = &snapshot.object else { return Ok(plan(&snapshot, key)) };
        if object.metadata.deletion_timestamp.is_none() {
            for reference in object.metadata.owner_references.iter().flatten() {
                snapshot.owners.push((reference.clone(), self.owner(object, reference).await?));
            }
            snapshot.dependents = self.dependents(&object.metadata);
        } else if (has_finalizer(object, ORPHAN) || has_finalizer(object, FOREGROUND))
            && let Some(uid) = object.metadata.uid.as_deref()
        {
            let (custom, unseen) = self.custom.all_owned_by(uid);
            snapshot.dependents = self.caches.all().into_iter().flat_map(|cache| cache.owned_by(uid)).collect();
            snapshot.dependents.extend(custom);
            snapshot.unseen = unseen::of(&self.client.raw(), unseen, &key.key.namespace).await?;
        }
        Ok(plan(&snapshot, key))
    }
}
