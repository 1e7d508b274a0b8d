//! What a subscriber has not seen yet.
//!
//! Changes of one object are merged until they are read: the first state before and the last state after. So a slow
//! subscriber costs at most one entry an object, and never misses that an object changed or went away. Should even that
//! be too much, everything is dropped for one [`Notice::Resync`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Key;

/// How many objects a subscriber may have unread changes of. Twice the pods that a cluster of 1,000 nodes runs, at under
/// 100 bytes an entry beside the objects themselves.
pub const CHANGES_MAX: usize = 262_144;

/// An object was added (`old` is absent), changed, or removed (`new` is absent). When it was deleted and created again
/// before anybody looked, `old` and `new` have different UIDs.
#[derive(Debug)]
pub struct Change<K> {
    pub key: Key,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), old: self.old.clone(), new: self.new.clone() }
    }
}

/// What a subscriber is told.
#[derive(Debug)]
pub enum Notice<K> {
    Change(Change<K>),
    /// Too much was unread and has been dropped: look at the whole cache, and forget what is no longer in it.
    Resync,
}

/// The changes of a cache from the subscription on, which begins with everything that is in it.
pub struct Changes<K> {
    inbox: Arc<Inbox<K>>,
}

impl<K> Changes<K> {
    /// The next notice; absent when the cache is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Notice<K>> {
        loop {
            let ready = self.inbox.ready.notified();
            {
                let mut unread = self.inbox.unread.lock();
                if let Some(notice) = unread.pop() {
                    return Some(notice);
                }
                if unread.closed {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// The next notice if there is one already.
    pub fn try_next(&mut self) -> Option<Notice<K>> {
        self.inbox.unread.lock().pop()
    }
}

pub(super) struct Inbox<K> {
    unread: Mutex<Unread<K>>,
    ready: Notify,
}

/// All subscribers of one cache.
pub(super) struct Subscribers<K>(Vec<Weak<Inbox<K>>>);

impl<K> Subscribers<K> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// A subscription that begins with `present`.
    pub fn subscribe<'a>(&mut self, present: impl Iterator<Item = (&'a Key, &'a Arc<K>)>) -> Changes<K>
    where
        K: 'a,
    {
        let mut unread = Unread::new(CHANGES_MAX);
        for (key, object) in present {
            unread.push(Change { key: key.clone(), old: None, new: Some(object.clone()) });
        }
        let inbox = Arc::new(Inbox { unread: Mutex::new(unread), ready: Notify::new() });
        self.0.push(Arc::downgrade(&inbox));
        Changes { inbox }
    }

    /// Tells everybody, and forgets those who went away.
    pub fn publish(&mut self, changes: &[Change<K>]) {
        if changes.is_empty() {
            return;
        }
        self.0.retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            let mut unread = inbox.unread.lock();
            for change in changes {
                unread.push(change.clone());
            }
            drop(unread);
            inbox.ready.notify_one();
            true
        });
    }
}

impl<K> Drop for Subscribers<K> {
    fn drop(&mut self) {
        for inbox in self.0.iter().filter_map(Weak::upgrade) {
            inbox.unread.lock().closed = true;
            inbox.ready.notify_one();
        }
    }
}

/// Merged changes in the order in which their objects first changed.
struct Unread<K> {
    order: BTreeMap<u64, Change<K>>,
    position: HashMap<Key, u64>,
    next: u64,
    limit: usize,
    resync: bool,
    closed: bool,
}

impl<K> Unread<K> {
    fn new(limit: usize) -> Self {
        Self { order: BTreeMap::new(), position: HashMap::new(), next: 0, limit, resync: false, closed: false }
    }

    fn push(&mut self, change: Change<K>) {
        // A subscriber that will look at everything anyway needs no single change.
        if self.resync {
            return;
        }
        if let Some(&position) = self.position.get(&change.key) {
            let Some(unread) = self.order.get_mut(&position) else { return };
            unread.new = change.new;
            // Came and went unseen.
            if unread.old.is_none() && unread.new.is_none() {
                self.order.remove(&position);
                self.position.remove(&change.key);
            }
            return;
        }
        if self.order.len() == self.limit {
            self.order.clear();
            self.position.clear();
            self.resync = true;
            return;
        }
        self.position.insert(change.key.clone(), self.next);
        self.order.insert(self.next, change);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<Notice<K>> {
        if self.resync {
            self.resync = false;
            return Some(Notice::Resync);
        }
        let (_, change) = self.order.pop_first()?;
        self.position.remove(&change.key);
        Some(Notice::Change(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, old: Option<u32>, new: Option<u32>) -> Change<u32> {
        Change { key: Key::new("", name), old: old.map(Arc::new), new: new.map(Arc::new) }
    }

    fn read(unread: &mut Unread<u32>) -> Vec<String> {
        std::iter::from_fn(|| unread.pop())
            .map(|notice| match notice {
                Notice::Resync => "resync".to_owned(),
                Notice::Change(change) => format!("{} {:?} {:?}", change.key, change.old, change.new),
            })
            .collect()
    }

    #[test]
    fn changes_of_one_object_are_merged() {
        let mut unread = Unread::new(10);
        unread.push(change("a", None, Some(1)));
        unread.push(change("b", Some(1), Some(2)));
        unread.push(change("a", Some(1), Some(2)));
        unread.push(change("b", Some(2), None));
        assert_eq!(read(&mut unread), ["a None Some(2)", "b Some(1) None"]);
        assert_eq!(read(&mut unread), [""; 0]);
    }

    #[test]
    fn an_object_that_came_and_went_unseen_is_not_told() {
        let mut unread = Unread::new(10);
        unread.push(change("a", None, Some(1)));
        unread.push(change("a", Some(1), None));
        assert_eq!(read(&mut unread), [""; 0]);
        assert!(unread.position.is_empty());
    }

    #[test]
    fn a_recreated_object_keeps_its_first_old_state() {
        let mut unread = Unread::new(10);
        unread.push(change("a", Some(1), None));
        unread.push(change("a", None, Some(2)));
        assert_eq!(read(&mut unread), ["a Some(1) Some(2)"]);
    }

    #[test]
    fn too_much_becomes_one_resync_and_then_goes_on() {
        let mut unread = Unread::new(2);
        for name in ["a", "b", "c", "d"] {
            unread.push(change(name, None, Some(1)));
        }
        assert_eq!(read(&mut unread), ["resync"]);
        unread.push(change("a", Some(1), Some(2)));
        assert_eq!(read(&mut unread), ["a Some(1) Some(2)"]);
    }
}
