//! What must hold whatever happens, one file each.

pub mod acknowledged;
pub mod converge;
pub mod hash_kv;
pub mod leaders;
pub mod leases;
pub mod linearizable;
pub mod log;
pub mod members;
pub mod watches;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::mutant::Mutant;
use crate::trace::Trace;

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The invariant's name: that of its file.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// Where violations are told. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Violations {
    first: Arc<Mutex<Option<Violation>>>,
    /// Cancelled by the first.
    found: CancellationToken,
    trace: Trace,
}

impl Violations {
    fn tell(&self, invariant: &'static str, what: String) {
        self.trace.line(format_args!("VIOLATED {invariant}: {what}"));
        self.first.lock().get_or_insert(Violation { invariant, what });
        self.found.cancel();
    }
}

/// All of them, and what they have seen.
pub struct Invariants {
    pub log: log::Log,
    pub acknowledged: acknowledged::Acknowledged,
    pub watches: watches::Watches,
    pub leases: leases::Leases,
    pub hash_kv: hash_kv::HashKv,
    pub leaders: leaders::Leaders,
    pub members: members::Members,
    pub registers: linearizable::Registers,
    violations: Violations,
}

impl Invariants {
    /// Nothing was seen yet. No member's clock is faster than `fastest_ppm` parts of a million.
    pub fn new(trace: Trace, mutant: Option<Mutant>, fastest_ppm: u32) -> Self {
        let violations = Violations { first: Arc::default(), found: CancellationToken::new(), trace: trace.clone() };
        Self {
            // With this mutant it is another invariant's turn.
            log: log::Log::new(violations.clone(), mutant != Some(Mutant::CorruptedState)),
            acknowledged: acknowledged::Acknowledged::new(violations.clone()),
            watches: watches::Watches::new(violations.clone()),
            leases: leases::Leases::new(violations.clone(), trace.clone(), fastest_ppm),
            hash_kv: hash_kv::HashKv::new(violations.clone()),
            leaders: leaders::Leaders::new(violations.clone()),
            members: members::Members::new(violations.clone()),
            registers: linearizable::Registers::new(violations.clone(), trace),
            violations,
        }
    }

    /// Tells of something that has no file of its own.
    pub fn violated(&self, invariant: &'static str, what: String) {
        self.violations.tell(invariant, what);
    }

    /// Returns when one was violated.
    pub async fn any_violated(&self) {
        self.violations.found.cancelled().await;
    }

    /// The first that was violated.
    pub fn violation(&self) -> Option<Violation> {
        self.violations.first.lock().clone()
    }
}
