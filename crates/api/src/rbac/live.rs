//! The policy of the moment: made of the caches, and made anew when roles or bindings have changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::registry;
use keelson_types::status::Status;
use parking_lot::Mutex;
use serde_json::Value;

use super::Policy;
use crate::cache::Caches;

const PLURALS: [&str; 4] = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"];

pub struct Live {
    kinds: [&'static Kind; 4],
    made: Mutex<Made>,
}

/// Objects by path, with their revisions.
type Parsed = BTreeMap<Arc<str>, (i64, Arc<Value>)>;

struct Made {
    /// Of the newest changes that the policy knows, by kind.
    revisions: [i64; 4],
    /// What the policy was made of, by kind: only what changed is parsed anew.
    parsed: [Parsed; 4],
    policy: Arc<Policy>,
}

impl Live {
    /// # Errors
    /// Internal, when a kind is not registered.
    pub fn new() -> Result<Live, Status> {
        let mut kinds = Vec::new();
        for plural in PLURALS {
            let kind = registry::by_resource(super::GROUP, plural);
            kinds.push(kind.ok_or_else(|| Status::internal(format!("no kind {plural}")))?);
        }
        let kinds = kinds.try_into().map_err(|_| Status::internal("four kinds make a policy"))?;
        let made = Made { revisions: [-1; 4], parsed: Default::default(), policy: Arc::default() };
        Ok(Live { kinds, made: Mutex::new(made) })
    }

    pub fn policy(&self, caches: &Caches) -> Arc<Policy> {
        let mut made = self.made.lock();
        // Read under the lock: whoever waited for it takes what the one before made, instead of making an older one. And read
        // before the objects: a change in between makes the policy once more, never too late.
        let now = self.kinds.map(|kind| caches.newest_change(kind));
        if made.revisions != now {
            made.update(&self.kinds, now, caches);
        }
        made.policy.clone()
    }
}

impl Made {
    fn update(&mut self, kinds: &[&'static Kind; 4], now: [i64; 4], caches: &Caches) {
        for (index, kind) in kinds.iter().enumerate() {
            if self.revisions[index] == now[index] {
                continue;
            }
            let mut before = std::mem::take(&mut self.parsed[index]);
            let (objects, _) = caches.snapshot(kind);
            let known = objects.iter().filter_map(|(path, object)| {
                let revision = object.revision();
                let kept = before.remove(path).filter(|(known, _)| *known == revision);
                Some((path.clone(), kept.or_else(|| Some((revision, Arc::new(object.value().ok()?))))?))
            });
            self.parsed[index] = known.collect();
        }
        let objects: Vec<Arc<Value>> =
            self.parsed.iter().flat_map(BTreeMap::values).map(|(_, one)| one.clone()).collect();
        self.policy = Arc::new(Policy::of(&objects));
        self.revisions = now;
    }
}
