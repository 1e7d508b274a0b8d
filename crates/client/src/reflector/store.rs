//! The content of a cache: objects, indexes, how far it is, and who wants to know.

use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::Object;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::changes::{Change, Changes, Subscribers};
use crate::{Event, Key};

/// The values under which an index knows an object.
pub(super) type IndexFn<K> = Arc<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// How far a cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    synced: bool,
    revision: i64,
}

pub(super) struct Store<K> {
    content: RwLock<Content<K>>,
    progress: watch::Sender<Progress>,
}

struct Content<K> {
    objects: ByKey<K>,
    indexes: Vec<Index<K>>,
    subscribers: Subscribers<K>,
}

/// Content and indexes share their keys, which take as much as the rest of an index does.
type ByKey<K> = HashMap<Arc<Key>, Arc<K>>;

struct Index<K> {
    name: &'static str,
    values: IndexFn<K>,
    entries: HashMap<String, ByKey<K>>,
}

impl<K: Object> Store<K> {
    pub fn new(indexes: Vec<(&'static str, IndexFn<K>)>) -> Self {
        let indexes =
            indexes.into_iter().map(|(name, values)| Index { name, values, entries: HashMap::new() }).collect();
        let content = Content { objects: HashMap::new(), indexes, subscribers: Subscribers::new() };
        Self { content: RwLock::new(content), progress: watch::Sender::new(Progress::default()) }
    }

    /// Makes `objects` the whole content, in one step.
    pub fn replace(&self, objects: HashMap<Key, Arc<K>>, revision: i64) {
        {
            let mut content = self.content.write();
            let gone: Vec<Arc<Key>> =
                content.objects.keys().filter(|key| !objects.contains_key(key.as_ref())).cloned().collect();
            let mut changes: Vec<_> = gone.into_iter().filter_map(|key| content.remove(&key)).collect();
            changes.extend(objects.into_iter().filter_map(|(key, object)| content.insert(key, object)));
            content.subscribers.publish(&changes);
        }
        self.progress.send_replace(Progress { synced: true, revision });
    }

    /// Applies the changes of whole revisions, in one step.
    pub fn apply(&self, events: Vec<Event<K>>, revision: i64) {
        if !events.is_empty() {
            let mut content = self.content.write();
            let mut changes = Vec::with_capacity(events.len());
            for event in events {
                let key = Key::of(event.object());
                changes.extend(match event {
                    Event::Added(object) | Event::Modified(object) => content.insert(key, Arc::new(object)),
                    Event::Deleted(_) => content.remove(&key),
                });
            }
            content.subscribers.publish(&changes);
        }
        self.progress.send_modify(|progress| progress.revision = revision);
    }
}

impl<K: Object> Content<K> {
    /// Absent when the very same state is there already.
    fn insert(&mut self, key: Key, object: Arc<K>) -> Option<Change<K>> {
        let (shared, old) = match self.objects.get_key_value(&key) {
            Some((shared, old)) => (shared.clone(), Some(old.clone())),
            None => (Arc::new(key.clone()), None),
        };
        if old.as_deref().is_some_and(|old| same_state(old, &object)) {
            return None;
        }
        for index in &mut self.indexes {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&shared, &object);
        }
        self.objects.insert(shared, object.clone());
        Some(Change { key, old, new: Some(object) })
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let (key, old) = self.objects.remove_entry(key)?;
        for index in &mut self.indexes {
            index.remove(&key, &old);
        }
        Some(Change { key: Arc::unwrap_or_clone(key), old: Some(old), new: None })
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &Arc<Key>, object: &Arc<K>) {
        for value in (self.values)(object) {
            self.entries.entry(value).or_default().insert(key.clone(), object.clone());
        }
    }

    fn remove(&mut self, key: &Key, object: &Arc<K>) {
        for value in (self.values)(object) {
            if let Some(entry) = self.entries.get_mut(&value) {
                entry.remove(key);
                if entry.is_empty() {
                    self.entries.remove(&value);
                }
            }
        }
    }
}

/// Objects of one key at one revision are equal. Without a revision (in tests) nothing is.
fn same_state<K: Object>(old: &K, new: &K) -> bool {
    let (old, new) = (old.metadata(), new.metadata());
    old.resource_version.is_some() && old.resource_version == new.resource_version && old.uid == new.uid
}

/// A local copy of one kind. Clones share it; reading never waits for the network, and for a writer only while one batch
/// of changes goes in.
pub struct Cache<K> {
    store: Arc<Store<K>>,
    /// Stops the reflector with the last clone. Absent in a detached cache.
    _task: Option<Arc<AbortOnDrop>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), _task: self._task.clone() }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<K: Object> Cache<K> {
    pub(super) fn new(store: Arc<Store<K>>, task: Option<JoinHandle<()>>) -> Self {
        Self { store, _task: task.map(|task| Arc::new(AbortOnDrop(task))) }
    }

    /// `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get_key(&Key::new(namespace, name))
    }

    pub fn get_key(&self, key: &Key) -> Option<Arc<K>> {
        self.store.content.read().objects.get(key).cloned()
    }

    /// Everything, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.store.content.read().objects.values().cloned().collect()
    }

    /// The keys of everything, in no order.
    pub fn keys(&self) -> Vec<Key> {
        self.store.content.read().objects.keys().map(|key| key.as_ref().clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.store.content.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects that index `name` knows under `value`, in no order. An index that was not added knows none.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let content = self.store.content.read();
        let index = content.indexes.iter().find(|index| index.name == name);
        debug_assert!(index.is_some(), "the cache has no index {name:?}");
        let entry = index.and_then(|index| index.entries.get(value));
        entry.map_or_else(Vec::new, |entry| entry.values().cloned().collect())
    }

    /// Returns when the first list is complete.
    pub async fn synced(&self) {
        self.reached(0).await;
    }

    pub fn is_synced(&self) -> bool {
        self.store.progress.borrow().synced
    }

    /// The revision up to which the cache is complete; 0 before it is synced.
    pub fn revision(&self) -> i64 {
        self.store.progress.borrow().revision
    }

    /// Returns when the cache is synced and complete up to `revision`: what was written at it can be read.
    pub async fn reached(&self, revision: i64) {
        let mut progress = self.store.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.synced && progress.revision >= revision).await;
        // The sender is in the store, which `self` keeps.
        debug_assert!(reached.is_ok(), "the store is gone");
    }

    /// Subscribes to changes, beginning with everything that is here.
    pub fn changes(&self) -> Changes<K> {
        let mut content = self.store.content.write();
        let Content { objects, subscribers, .. } = &mut *content;
        subscribers.subscribe(objects.iter().map(|(key, object)| (key.as_ref(), object)))
    }
}

/// Fills a detached cache.
pub struct Feed<K> {
    store: Arc<Store<K>>,
}

impl<K: Object> Feed<K> {
    pub(super) fn new(store: Arc<Store<K>>) -> Self {
        Self { store }
    }

    /// Makes `objects` the whole content and the cache synced.
    pub fn replace(&self, objects: impl IntoIterator<Item = K>, revision: i64) {
        let objects = objects.into_iter().map(|object| (Key::of(&object), Arc::new(object))).collect();
        self.store.replace(objects, revision);
    }

    pub fn apply(&self, events: Vec<Event<K>>, revision: i64) {
        self.store.apply(events, revision);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::super::{Notice, detached};
    use super::*;

    fn map(name: &str, revision: &str, owner: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: Some(revision.to_owned()),
            labels: Some([("owner".to_owned(), owner.to_owned())].into()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn owners(map: &ConfigMap) -> Vec<String> {
        map.metadata.labels.iter().flatten().map(|(_, owner)| owner.clone()).collect()
    }

    fn told(changes: &mut Changes<ConfigMap>) -> Vec<String> {
        let version = |map: Option<Arc<ConfigMap>>| {
            map.and_then(|map| map.metadata.resource_version.clone()).unwrap_or_else(|| "-".to_owned())
        };
        let mut told: Vec<String> = std::iter::from_fn(|| changes.try_next())
            .map(|notice| match notice {
                Notice::Change(change) => format!("{} {}→{}", change.key, version(change.old), version(change.new)),
                Notice::Resync => "resync".to_owned(),
            })
            .collect();
        told.sort();
        told
    }

    #[test]
    fn a_new_list_is_compared_with_what_is_there() {
        let (feed, cache) = detached(vec![("owner", owners)]);
        assert!(!cache.is_synced());
        feed.replace([map("a", "1", "x"), map("b", "2", "x"), map("c", "3", "y")], 3);
        let mut changes = cache.changes();
        assert_eq!(told(&mut changes), ["a -→1", "b -→2", "c -→3"]);
        feed.replace([map("a", "1", "x"), map("b", "5", "y"), map("d", "4", "x")], 6);
        assert_eq!(told(&mut changes), ["b 2→5", "c 3→-", "d -→4"]);
        assert_eq!((cache.len(), cache.revision()), (3, 6));
        assert_eq!((cache.by_index("owner", "x").len(), cache.by_index("owner", "y").len()), (2, 1));
    }

    #[test]
    fn an_object_moves_between_index_entries_and_leaves_none_behind() {
        let (feed, cache) = detached(vec![("owner", owners)]);
        feed.apply(vec![Event::Added(map("a", "1", "x"))], 1);
        feed.apply(vec![Event::Modified(map("a", "2", "y"))], 2);
        assert!(cache.by_index("owner", "x").is_empty());
        assert_eq!(cache.by_index("owner", "y").len(), 1);
        feed.apply(vec![Event::Deleted(map("a", "3", "y"))], 3);
        assert!(cache.by_index("owner", "y").is_empty() && cache.is_empty());
        assert!(cache.store.content.read().indexes[0].entries.is_empty());
    }

    #[test]
    fn the_last_clone_ends_the_subscriptions() {
        let (feed, cache) = detached::<ConfigMap>(vec![]);
        let mut changes = cache.changes();
        drop((feed, cache));
        assert!(futures::executor::block_on(changes.next()).is_none());
    }
}
