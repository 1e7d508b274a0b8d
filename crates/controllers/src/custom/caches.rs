//! A cache of metadata for each kind that users define, while it is defined.

use std::collections::HashMap;
use std::sync::Arc;

use keelson_client::reflector::Cache;
use keelson_client::{Client, Resource};
use keelson_types::meta::Key;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{Custom, Definition};
use crate::caches::{AnyObject, OWNER, reflector};
use crate::partial::{Partial, Unnamed};

/// The metadata of an object of any kind.
pub(crate) type Anything = Partial<Unnamed>;

type ByResource = HashMap<Resource, (Custom, Cache<Anything>)>;

/// The caches. Clones share them.
#[derive(Clone)]
pub(crate) struct Customs {
    definitions: Cache<Definition>,
    caches: Arc<RwLock<ByResource>>,
}

impl Customs {
    pub fn new(definitions: Cache<Definition>) -> Self {
        Self { definitions, caches: Arc::default() }
    }

    /// The kind of this name; `None` when users define none, or nobody can say which of several is meant.
    pub fn kind(&self, group: &str, kind: &str) -> Option<Custom> {
        only(&self.definitions.list(), group, kind)
    }

    pub fn find(&self, resource: &Resource, key: &Key) -> Option<AnyObject> {
        let caches = self.caches.read();
        let (custom, cache) = caches.get(resource)?;
        cache.get_key(key).map(|object| any(custom, &object))
    }

    pub fn owned_by(&self, uid: &str) -> Vec<AnyObject> {
        owned_by(&self.caches.read(), uid)
    }

    /// The same, with the kinds that this says nothing about. Both are of one moment: a kind whose cache comes or goes is in one of
    /// them.
    pub fn all_owned_by(&self, uid: &str) -> (Vec<AnyObject>, Vec<Unseen>) {
        let caches = self.caches.read();
        let is_seen = |custom: &Custom| caches.get(&custom.resource).is_some_and(|(_, cache)| cache.is_synced());
        let all = self.definitions.list();
        let unseen = all.iter().filter_map(|definition| {
            let custom = definition.part.custom();
            let name = definition.metadata.name.clone().unwrap_or_default();
            (!custom.is_some_and(is_seen)).then_some(Unseen { name, served: custom.is_some() })
        });
        (owned_by(&caches, uid), unseen.collect())
    }

    /// Makes the caches those of the kinds that are defined now.
    fn refresh(&self, client: &Client, added: &mut impl FnMut(&Resource, &Cache<Anything>)) {
        let all = self.definitions.list();
        let customs = all.iter().filter_map(|definition| definition.part.custom());
        let defined: HashMap<&Resource, &Custom> = customs.map(|custom| (&custom.resource, custom)).collect();
        let mut caches = self.caches.write();
        // A kind that is defined anew begins anew.
        caches.retain(|resource, (custom, _)| defined.get(resource) == Some(&&*custom));
        for (resource, custom) in defined {
            if !caches.contains_key(resource) {
                let cache = reflector::<Anything>(client).resource(resource.clone()).start();
                added(resource, &cache);
                caches.insert(resource.clone(), (custom.clone(), cache));
            }
        }
    }

    /// Every object of every kind.
    pub fn list(&self) -> Vec<(Resource, Arc<Anything>)> {
        let caches = self.caches.read();
        let all = caches.values().flat_map(|(custom, cache)| {
            cache.list().into_iter().map(|object| (custom.resource.clone(), object)).collect::<Vec<_>>()
        });
        all.collect()
    }
}

/// A kind whose objects no cache has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Of its definition.
    pub name: String,
    /// Its definition says that it is served: it will be seen.
    pub served: bool,
}

fn owned_by(caches: &ByResource, uid: &str) -> Vec<AnyObject> {
    let owned = caches.values().flat_map(|(custom, cache)| {
        cache.by_index(OWNER, uid).into_iter().map(|object| any(custom, &object)).collect::<Vec<_>>()
    });
    owned.collect()
}

/// A name that two definitions have is of neither: one of them may be about to lose it, and what is looked up by the wrong one
/// does not exist.
fn only(all: &[Arc<Definition>], group: &str, kind: &str) -> Option<Custom> {
    let mut named = all.iter().filter(|definition| definition.part.names(group, kind));
    let only = named.next()?;
    if named.next().is_some() { None } else { only.part.custom().cloned() }
}

fn any(custom: &Custom, object: &Anything) -> AnyObject {
    AnyObject { resource: custom.resource.clone(), metadata: Arc::new(object.metadata.clone()) }
}

/// Keeps a cache for each kind that is defined, whenever `changed` tells that definitions have changed; `added` gets each.
pub(crate) async fn follow(
    customs: Customs,
    client: Client,
    changed: Arc<Notify>,
    mut added: impl FnMut(&Resource, &Cache<Anything>) + Send,
) {
    loop {
        customs.refresh(&client, &mut added);
        changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::custom::tests::definition;

    #[test]
    fn a_kind_that_two_definitions_have_is_of_neither() {
        let read = |value: &Value| Arc::new(serde_json::from_value::<Definition>(value.clone()).expect("is read"));
        let first = definition("Namespaced", "CronTab", true);
        let mut second = definition("Namespaced", "CronTab", true);
        second["spec"]["names"]["plural"] = "others".into();
        let unserved = |mut value: Value| {
            value["status"] = Value::Null;
            value.as_object_mut().expect("an object").remove("status");
            value
        };
        let found =
            |all: &[Arc<Definition>]| only(all, "example.com", "CronTab").map(|custom| custom.resource.resource);
        assert_eq!(found(&[read(&first)]).as_deref(), Some("crontabs"));
        assert_eq!(found(&[read(&first), read(&second)]), None);
        assert_eq!(
            found(&[read(&first), read(&unserved(second.clone()))]),
            None,
            "it may have been the one that is meant"
        );
        second["spec"]["group"] = "example.org".into();
        assert_eq!(found(&[read(&second), read(&first)]).as_deref(), Some("crontabs"));
    }
}
