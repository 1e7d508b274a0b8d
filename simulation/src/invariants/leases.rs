//! A lease lives at least as long as it was promised: its time to live, counted from when a renewal that succeeded was
//! asked for, by the true clock; shorter only by what the fastest of the members' clocks is fast.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::Violations;
use crate::trace::Trace;
use crate::world::SPEED_PPM;

/// All leases.
pub struct Leases {
    leases: Mutex<BTreeMap<i64, Lease>>,
    fastest_ppm: u32,
    violations: Violations,
    trace: Trace,
}

#[derive(Debug)]
struct Lease {
    /// It must not end before.
    promised_until: Duration,
    /// When its key was first seen to be gone.
    ended_at: Option<Duration>,
    /// Somebody asked for its end.
    revoked: bool,
}

impl Leases {
    pub(super) fn new(violations: Violations, trace: Trace, fastest_ppm: u32) -> Self {
        Self { leases: Mutex::default(), fastest_ppm, violations, trace }
    }

    /// A grant or a renewal succeeded that was asked for at `asked`.
    pub fn promised(&self, id: i64, asked: Duration, ttl_seconds: i64) {
        let ttl = Duration::from_secs(ttl_seconds.max(0).unsigned_abs());
        let until = asked + ttl * SPEED_PPM / self.fastest_ppm;
        let mut leases = self.leases.lock();
        let lease = leases.entry(id).or_insert(Lease { promised_until: until, ended_at: None, revoked: false });
        lease.promised_until = lease.promised_until.max(until);
        self.check(id, lease);
    }

    /// Its end is about to be asked for.
    pub fn revoked(&self, id: i64) {
        if let Some(lease) = self.leases.lock().get_mut(&id) {
            lease.revoked = true;
        }
    }

    /// Its key is gone.
    pub fn ended(&self, id: i64) {
        let now = self.trace.elapsed();
        if let Some(lease) = self.leases.lock().get_mut(&id) {
            lease.ended_at.get_or_insert(now);
            self.check(id, lease);
        }
    }

    fn check(&self, id: i64, lease: &Lease) {
        if !lease.revoked && lease.ended_at.is_some_and(|at| at < lease.promised_until) {
            self.violations.tell("leases", format!("lease {id} ended early: {lease:?}"));
        }
    }
}
