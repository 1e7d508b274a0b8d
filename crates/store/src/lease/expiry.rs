//! The leader's deadlines. Pure: the clock comes in as `now`.
//!
//! A new leader does not know when a lease was last renewed, so it gives each lease all that may be left: the remaining
//! time that was recorded, or else the whole time to live. Recording it now and then bounds what a change of leader adds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Lease;

/// How often a lease's remaining time is recorded, as in etcd; shorter leases are never recorded.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(300);
/// A lease found due is not reported again for so long: the command that ends it is on its way, or was lost.
const REPORT_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Deadlines further away are as good as never; an `Instant` cannot hold all that a lease may ask for.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When leases end. Empty while another member leads.
#[derive(Debug, Default)]
pub struct Expiry {
    leases: BTreeMap<i64, Deadline>,
    /// When each lease is next to be reported as due.
    due: BTreeSet<(Instant, i64)>,
    /// When each long lease's remaining time is next to be recorded.
    records: BTreeSet<(Instant, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    ttl_seconds: i64,
    ends: Instant,
    /// Its entry in `due`.
    report: Instant,
    /// Its entry in `records`, when it has one.
    record: Option<Instant>,
    /// The log has a shorter remaining time than the time to live.
    recorded: bool,
}

/// What renewing a lease did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The time to live that starts now.
    pub ttl_seconds: i64,
    /// A shorter remaining time is in the log. Propose a checkpoint with `remaining_seconds` 0, so that a next leader does
    /// not cut the lease short.
    pub clear_checkpoint: bool,
}

impl Expiry {
    /// Forgets everything; for a member that no longer leads.
    pub fn demote(&mut self) {
        *self = Self::default();
    }

    /// Takes leases over from a leader before: each lives for its remaining time from `now`.
    pub fn promote(&mut self, leases: &[Lease], now: Instant) {
        self.demote();
        self.sync(leases, now);
    }

    /// Follows the replicated table while leading: new leases start now, those that are gone are forgotten, the others keep
    /// their deadlines.
    pub fn sync(&mut self, leases: &[Lease], now: Instant) {
        let current: BTreeMap<i64, &Lease> = leases.iter().map(|lease| (lease.id, lease)).collect();
        let gone: Vec<i64> = self.leases.keys().filter(|id| !current.contains_key(id)).copied().collect();
        for id in gone {
            self.remove(id);
        }
        for lease in leases {
            match self.leases.get_mut(&lease.id) {
                Some(known) => known.recorded = lease.remaining_seconds > 0,
                None => {
                    let seconds = if lease.remaining_seconds > 0 { lease.remaining_seconds } else { lease.ttl_seconds };
                    self.insert(lease.id, lease.ttl_seconds, seconds, lease.remaining_seconds > 0, now);
                }
            }
        }
    }

    /// Starts a lease's time to live again. None when there is no such lease, or when its time is over already: its end may
    /// have been proposed.
    pub fn renew(&mut self, id: i64, now: Instant) -> Option<Renewed> {
        let known = self.leases.get(&id).copied().filter(|known| known.ends > now)?;
        self.insert(id, known.ttl_seconds, known.ttl_seconds, false, now);
        Some(Renewed { ttl_seconds: known.ttl_seconds, clear_checkpoint: known.recorded })
    }

    /// Whole seconds left, 0 when its time is over; None when there is no such lease.
    #[must_use]
    pub fn remaining_seconds(&self, id: i64, now: Instant) -> Option<i64> {
        let known = self.leases.get(&id)?;
        Some(seconds(known.ends.saturating_duration_since(now)))
    }

    /// Leases whose time is over, at most `max`, those that ended first before others. A lease that still exists a second
    /// later is reported again.
    pub fn due(&mut self, now: Instant, max: usize) -> Vec<i64> {
        let ids: Vec<i64> = self.due.iter().take_while(|(at, _)| *at <= now).take(max).map(|(_, id)| *id).collect();
        for id in &ids {
            if let Some(known) = self.leases.get_mut(id) {
                self.due.remove(&(known.report, *id));
                known.report = now + REPORT_AGAIN_AFTER;
                self.due.insert((known.report, *id));
            }
        }
        ids
    }

    /// Remaining seconds to record, by lease, at most `max`.
    pub fn checkpoints(&mut self, now: Instant, max: usize) -> Vec<(i64, i64)> {
        let ids: Vec<i64> = self.records.iter().take_while(|(at, _)| *at <= now).take(max).map(|(_, id)| *id).collect();
        let mut out = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(known) = self.leases.get_mut(&id) else { continue };
            if let Some(record) = known.record.take() {
                self.records.remove(&(record, id));
            }
            let left = known.ends.saturating_duration_since(now);
            if left.is_zero() {
                continue;
            }
            known.recorded = true;
            // At least 1: 0 would mean the whole time to live.
            out.push((id, seconds(left).max(1)));
            if left > CHECKPOINT_INTERVAL {
                known.record = Some(now + CHECKPOINT_INTERVAL);
                self.records.insert((now + CHECKPOINT_INTERVAL, id));
            }
        }
        out
    }

    /// When `due` or `checkpoints` next has something to tell.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, i64)>| set.first().map(|(at, _)| *at);
        first(&self.due).into_iter().chain(first(&self.records)).min()
    }

    fn insert(&mut self, id: i64, ttl_seconds: i64, left_seconds: i64, recorded: bool, now: Instant) {
        self.remove(id);
        let left = Duration::from_secs(left_seconds.max(0).unsigned_abs()).min(FOREVER);
        let ends = now + left;
        let record = (left > CHECKPOINT_INTERVAL).then(|| now + CHECKPOINT_INTERVAL);
        self.due.insert((ends, id));
        self.records.extend(record.map(|at| (at, id)));
        self.leases.insert(id, Deadline { ttl_seconds, ends, report: ends, record, recorded });
    }

    fn remove(&mut self, id: i64) {
        if let Some(known) = self.leases.remove(&id) {
            self.due.remove(&(known.report, id));
            if let Some(record) = known.record {
                self.records.remove(&(record, id));
            }
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: i64, ttl_seconds: i64, remaining_seconds: i64) -> Lease {
        Lease { id, ttl_seconds, remaining_seconds }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn leases_end_in_order_and_are_reported_until_gone() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.promote(&[lease(1, 10, 0), lease(2, 5, 0), lease(3, 60, 7)], start);
        assert_eq!(expiry.next_deadline(), Some(after(start, 5)));
        assert_eq!(expiry.due(after(start, 4), 10), [0i64; 0]);
        assert_eq!(expiry.due(after(start, 10), 2), [2, 3], "the remaining time of 3 counts");
        assert_eq!(expiry.due(after(start, 10), 2), [1]);
        assert_eq!(expiry.due(after(start, 10), 2), [0i64; 0], "reported a moment ago");
        expiry.sync(&[lease(1, 10, 0)], after(start, 11));
        assert_eq!(expiry.due(after(start, 11), 10), [1], "the others are gone");
    }

    #[test]
    fn renewing_starts_again_and_comes_too_late_after_the_end() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.promote(&[lease(1, 10, 4)], start);
        let renewed = expiry.renew(1, after(start, 3));
        assert_eq!(renewed, Some(Renewed { ttl_seconds: 10, clear_checkpoint: true }));
        assert_eq!(expiry.remaining_seconds(1, after(start, 5)), Some(8));
        let renewed = expiry.renew(1, after(start, 12));
        assert_eq!(renewed, Some(Renewed { ttl_seconds: 10, clear_checkpoint: false }));
        assert_eq!(expiry.renew(1, after(start, 22)), None);
        assert_eq!(expiry.renew(9, start), None);
        assert_eq!(expiry.remaining_seconds(1, after(start, 30)), Some(0));
    }

    #[test]
    fn long_leases_are_recorded_every_five_minutes() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.promote(&[lease(1, 700, 0), lease(2, 300, 0), lease(3, i64::MAX, 0)], start);
        assert_eq!(expiry.checkpoints(after(start, 299), 10), [(0i64, 0i64); 0]);
        assert_eq!(expiry.checkpoints(after(start, 300), 1), [(1, 400)]);
        assert_eq!(expiry.checkpoints(after(start, 300), 10).len(), 1, "3 is forever, but recorded like any");
        assert_eq!(expiry.checkpoints(after(start, 600), 1), [(1, 100)]);
        let renewed = expiry.renew(1, after(start, 601)).expect("alive");
        assert!(renewed.clear_checkpoint);
    }

    #[test]
    fn a_demoted_leader_knows_nothing() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.promote(&[lease(1, 1, 0)], start);
        expiry.demote();
        assert_eq!(expiry.due(after(start, 9), 10), [0i64; 0]);
        assert_eq!(expiry.next_deadline(), None);
    }
}
