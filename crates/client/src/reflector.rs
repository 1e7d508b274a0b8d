//! A local copy of one kind, kept up to date by a watch.
//!
//! [`Reflector`] says what to copy; [`Reflector::start`] spawns the task that keeps the [`Cache`] up to date until the
//! last clone of it is dropped. The task's states are in [`state`](self) and pure: it lists through the watch stream,
//! then follows it; when the stream breaks it resumes where it stopped; when that revision is compacted it lists again and
//! compares, so that deletions that nobody told about are found.
//!
//! **Invariant.** A cache that has synced once never goes back to partly filled: a new list replaces the content in one
//! step.

mod changes;
mod run;
mod state;
mod store;

use std::sync::Arc;

use keelson_types::Object;

pub use changes::{CHANGES_MAX, Change, Changes, Notice};
pub use store::{Cache, Feed};

use crate::{Client, Resource, WatchOptions};
use store::{IndexFn, Store};

/// What to copy.
pub struct Reflector<K> {
    client: Client,
    resource: Resource,
    namespace: String,
    options: WatchOptions,
    indexes: Vec<(&'static str, IndexFn<K>)>,
    forget: fn(&mut K),
}

impl<K: Object> Reflector<K> {
    /// All objects of the kind.
    pub fn new(client: Client) -> Self {
        let (resource, options) = (Resource::of::<K>(), WatchOptions::default());
        Self { client, resource, namespace: String::new(), options, indexes: Vec::new(), forget: |_| {} }
    }

    /// Objects of this resource instead, for a `K` that objects of any kind decode into.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = resource;
        self
    }

    /// Only this namespace; all with "".
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Only objects with these labels.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.options.label_selector = selector.into();
        self
    }

    /// Only objects with these fields: `spec.nodeName=node-1`.
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.options.field_selector = selector.into();
        self
    }

    /// Lets [`Cache::by_index`] find objects by the values that `values` takes from them.
    pub fn add_index(mut self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.indexes.push((name, Arc::new(values)));
        self
    }

    /// Takes out of each object what no reader of the cache looks at. Such an object must not be written back whole.
    pub fn forget(mut self, forget: fn(&mut K)) -> Self {
        self.forget = forget;
        self
    }

    /// Starts copying. The task ends when the last clone of the cache is dropped; an error never ends it, it is logged and
    /// tried again with back-off. Must be called inside a tokio runtime.
    pub fn start(self) -> Cache<K> {
        let store = Arc::new(Store::new(self.indexes));
        let name = self.resource.object(self.namespace, "");
        let task = tokio::spawn(run::run(self.client, name, self.options, self.forget, store.clone()));
        Cache::new(store, Some(task))
    }
}

/// The name of an index, and the values under which it knows an object.
pub type Index<K> = (&'static str, fn(&K) -> Vec<String>);

/// A cache without a watch, for tests of what reads it: whoever holds the [`Feed`] fills it.
pub fn detached<K: Object>(indexes: Vec<Index<K>>) -> (Feed<K>, Cache<K>) {
    let indexes = indexes.into_iter().map(|(name, values)| (name, Arc::new(values) as IndexFn<K>)).collect();
    let store = Arc::new(Store::new(indexes));
    (Feed::new(store.clone()), Cache::new(store, None))
}
