//! The policy of the moment: made of the caches, and made anew when roles or bindings have changed.

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
    /// With the revisions of the newest changes that it knows.
    made: Mutex<([i64; 4], Arc<Policy>)>,
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
        Ok(Live { kinds, made: Mutex::new(([-1; 4], Arc::default())) })
    }

    pub fn policy(&self, caches: &Caches) -> Arc<Policy> {
        let now = self.kinds.map(|kind| caches.newest_change(kind));
        let mut made = self.made.lock();
        if made.0 != now {
            // Read before the objects: a change in between makes the policy once more, never too late.
            *made = (now, Arc::new(Policy::of(&self.objects(caches))));
        }
        made.1.clone()
    }

    fn objects(&self, caches: &Caches) -> Vec<Value> {
        let objects = self.kinds.iter().flat_map(|kind| {
            let (objects, _) = caches.snapshot(kind);
            objects.into_iter().filter_map(|(_, object)| object.value().ok()).collect::<Vec<Value>>()
        });
        objects.collect()
    }
}
