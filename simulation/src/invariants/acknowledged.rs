//! What was acknowledged is there: every later linearizable read shows it, with the revision of its answer.

use std::collections::HashMap;

use keelson_proto::mvccpb::KeyValue;
use parking_lot::Mutex;

use super::Violations;

/// One acknowledged write of a key that is never written again.
struct Write {
    key: Vec<u8>,
    value: Vec<u8>,
    revision: i64,
}

/// All of them.
pub struct Acknowledged {
    writes: Mutex<Vec<Write>>,
    violations: Violations,
}

impl Acknowledged {
    pub(super) fn new(violations: Violations) -> Self {
        Self { writes: Mutex::default(), violations }
    }

    /// A write was acknowledged.
    pub fn acknowledge(&self, key: Vec<u8>, value: Vec<u8>, revision: i64) {
        self.writes.lock().push(Write { key, value, revision });
    }

    /// How many were acknowledged. A read that begins now must show as many.
    pub fn count(&self) -> usize {
        self.writes.lock().len()
    }

    /// A linearizable read of all such keys that began when there were `count` writes.
    pub fn read(&self, count: usize, found: &[KeyValue]) {
        let found: HashMap<&[u8], &KeyValue> = found.iter().map(|pair| (&pair.key[..], pair)).collect();
        for write in &self.writes.lock()[..count] {
            let pair = found.get(&write.key[..]);
            if !pair.is_some_and(|pair| pair.value == write.value && pair.mod_revision == write.revision) {
                let key = String::from_utf8_lossy(&write.key);
                let what = format!("{key} was acknowledged at revision {}, and is read as {pair:?}", write.revision);
                self.violations.tell("acknowledged", what);
                return;
            }
        }
    }
}
