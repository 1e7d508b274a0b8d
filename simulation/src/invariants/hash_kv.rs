//! Members that have the same revision, compacted to the same one, have the same content.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Violations;
use crate::cluster::Cluster;

/// A member that is paused does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Checksums by revision and compacted revision.
pub struct HashKv {
    known: Mutex<BTreeMap<(i64, i64), (usize, u32)>>,
    violations: Violations,
}

impl HashKv {
    pub(super) fn new(violations: Violations) -> Self {
        Self { known: Mutex::default(), violations }
    }

    /// Asks all members that answer for the checksum of what all of them have.
    pub async fn check(&self, cluster: &Cluster) {
        let handles = cluster.answering().into_iter().filter_map(|member| Some((member, cluster.handle(member)?)));
        let revisions: Vec<(usize, i64)> = handles.map(|(member, handle)| (member, handle.revision())).collect();
        let Some(revision) = revisions.iter().map(|(_, revision)| *revision).min() else { return };
        for (member, _) in revisions {
            let ask = cluster.call(member, move |handle| async move { handle.hash_kv(revision).await });
            let Ok(Some(Ok(answer))) = tokio::time::timeout(ANSWER_TIMEOUT, ask).await else { continue };
            let of = (answer.hash_revision, answer.compact_revision);
            let (other, hash) = *self.known.lock().entry(of).or_insert((member, answer.hash));
            if hash != answer.hash {
                let what = format!("members {other} and {member} differ at (revision, compacted revision) {of:?}");
                self.violations.tell("hash_kv", what);
            }
        }
    }
}
