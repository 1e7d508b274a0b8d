//! Leases on the leader: deadlines are kept here, and their ends are proposed.
//!
//! **Invariant**: only a leader that a quorum confirmed renews a lease, and what ends one is a command fenced by the term in
//! which its deadline passed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keelson_proto::keelson::store::v1::lease_checkpoint::Remaining;
use keelson_proto::keelson::store::v1::{Command, LeaseCheckpoint, LeaseExpire, command};
use keelson_types::Leadership;
use parking_lot::Mutex;

use crate::lease::Expiry;
use crate::member::Member;
use crate::state::Reader;
use crate::{Error, machine};

/// How often deadlines are looked at, as in etcd.
const INTERVAL: Duration = Duration::from_millis(500);
/// At most so many leases end in one interval, a thousand a second, as in etcd: their keys are deleted in one entry.
const EXPIRIES_PER_INTERVAL_MAX: usize = 500;
/// Remaining times recorded in one entry, as in etcd.
const CHECKPOINTS_PER_INTERVAL_MAX: usize = 1000;

#[derive(Default)]
struct Deadlines {
    expiry: Expiry,
    /// The term for which `expiry` was filled; 0 when it is empty.
    term: u64,
    /// The table's version that `expiry` has seen.
    version: u64,
}

/// The leader's deadlines. Empty on other members.
#[derive(Clone, Default)]
pub(crate) struct LeaseKeeper {
    deadlines: Arc<Mutex<Deadlines>>,
}

impl Deadlines {
    /// Brings the deadlines up to date with leadership and table.
    fn follow(&mut self, leadership: Leadership, reader: &Reader, now: Instant) {
        if !leadership.leading {
            self.expiry.demote();
            self.term = 0;
            return;
        }
        let version = reader.leases_version();
        if self.term != leadership.term {
            self.expiry.demote();
            self.expiry.promote(&reader.leases(), now);
            self.term = leadership.term;
        } else if self.version != version {
            self.expiry.sync(&reader.leases(), now);
        }
        self.version = version;
    }
}

impl LeaseKeeper {
    /// Renews a lease; on the leader only, after the leader was confirmed. Returns its time to live in seconds.
    ///
    /// # Errors
    /// [`Error::LeaseNotFound`], [`Error::NotLeader`], and as for a proposal.
    pub(crate) async fn renew(&self, member: &Member, id: i64) -> Result<i64, Error> {
        let leadership = self.leading(member)?;
        let renewed = {
            let mut deadlines = self.deadlines.lock();
            let now = machine::now();
            deadlines.follow(leadership, &member.reader, now);
            deadlines.expiry.renew(id, now).ok_or(Error::LeaseNotFound)?
        };
        if renewed.clear_checkpoint {
            let cleared = vec![Remaining { id, remaining_seconds: 0 }];
            record(member, leadership.term, cleared).await?;
        }
        member.metrics.leases.renewed.inc();
        Ok(renewed.ttl_seconds)
    }

    /// Seconds that a lease has left; on the leader only, after the leader was confirmed.
    ///
    /// # Errors
    /// [`Error::LeaseNotFound`], [`Error::NotLeader`].
    pub(crate) fn remaining_seconds(&self, member: &Member, id: i64) -> Result<i64, Error> {
        let leadership = self.leading(member)?;
        let mut deadlines = self.deadlines.lock();
        let now = machine::now();
        deadlines.follow(leadership, &member.reader, now);
        deadlines.expiry.remaining_seconds(id, now).ok_or(Error::LeaseNotFound)
    }

    fn leading(&self, member: &Member) -> Result<Leadership, Error> {
        let leadership = member.now_leadership();
        if leadership.leading { Ok(leadership) } else { Err(Error::NotLeader) }
    }

    /// Ends leases while this member leads. Runs for ever.
    pub(crate) async fn run(self, member: Arc<Member>) {
        let mut leadership = member.leadership.clone();
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // A new leader starts the deadlines at once, so that it does not add an interval to each.
                changed = leadership.changed() => if changed.is_err() { return },
            }
            let now_leadership = *leadership.borrow_and_update();
            let (due, checkpoints) = {
                let mut deadlines = self.deadlines.lock();
                let now = machine::now();
                deadlines.follow(now_leadership, &member.reader, now);
                if !now_leadership.leading {
                    continue;
                }
                let due = deadlines.expiry.due(now, EXPIRIES_PER_INTERVAL_MAX);
                (due, deadlines.expiry.checkpoints(now, CHECKPOINTS_PER_INTERVAL_MAX))
            };
            if !due.is_empty() {
                let count = due.len() as u64;
                let expire = command::Command::LeaseExpire(LeaseExpire { ids: due });
                let result = member.proposer.propose(fenced(now_leadership.term, expire), member.deadline()).await;
                if result.is_ok() {
                    member.metrics.leases.expired.inc_by(count);
                }
                told("ending leases", result.map(|_| ()));
            }
            if !checkpoints.is_empty() {
                let remaining = checkpoints.into_iter();
                let remaining = remaining.map(|(id, remaining_seconds)| Remaining { id, remaining_seconds });
                told("recording leases", record(&member, now_leadership.term, remaining.collect()).await);
            }
        }
    }
}

fn fenced(term: u64, command: command::Command) -> Command {
    Command { fence_term: term, command: Some(command), ..Command::default() }
}

async fn record(member: &Member, term: u64, leases: Vec<Remaining>) -> Result<(), Error> {
    let command = fenced(term, command::Command::LeaseCheckpoint(LeaseCheckpoint { leases }));
    member.proposer.propose(command, member.deadline()).await.map(|_| ())
}

/// Nothing is lost when it failed: what is due stays due, here or on the next leader.
fn told(what: &'static str, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what} failed; it will be tried again");
    }
}
