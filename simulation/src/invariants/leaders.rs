//! Nobody leads in a term in which somebody else does.

use std::collections::BTreeMap;
use std::sync::Arc;

use keelson_store::Handle;
use parking_lot::Mutex;

use super::{Invariants, Violations};

/// Who leads in which term.
pub struct Leaders {
    terms: Mutex<BTreeMap<u64, u64>>,
    violations: Violations,
}

impl Leaders {
    pub(super) fn new(violations: Violations) -> Self {
        Self { terms: Mutex::default(), violations }
    }

    fn seen(&self, by: u64, term: u64, leader: u64) {
        let first = *self.terms.lock().entry(term).or_insert(leader);
        if first != leader {
            let what = format!("{first:016x} and, to {by:016x}, {leader:016x} lead in term {term}");
            self.violations.tell("leaders", what);
        }
    }
}

/// Follows what a member knows, for as long as it runs.
pub async fn follow(invariants: Arc<Invariants>, handle: Handle) {
    let (id, mut leadership) = (handle.member_id(), handle.leadership());
    drop(handle);
    loop {
        let now = *leadership.borrow_and_update();
        if let Some(leader) = now.leader_id {
            invariants.leaders.seen(id, now.term, leader);
        }
        if leadership.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
