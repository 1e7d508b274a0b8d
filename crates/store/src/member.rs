//! What the parts of one running member share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keelson_proto::keelson::raft::v1::MemberStatusResponse;
use keelson_types::Leadership;
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::auth::Auth;
use crate::disk::Disk;
use crate::lease_keeper::LeaseKeeper;
use crate::membership::Unapplied;
use crate::metrics::{Metrics, Scrape};
use crate::peers::Peers;
use crate::propose::Proposer;
use crate::propose::appends::Appender;
use crate::raft::gate::Voice;
use crate::raft::log::Identity;
use crate::raft::types::StoredMembership;
use crate::raft::{Raft, codec};
use crate::read_index::ReadIndex;
use crate::service::reclaim::Reclaimed;
use crate::state::Reader;
use crate::status::Status;
use crate::{Error, Options};

/// A leader that takes longer to confirm a read is slow, as in etcd.
const SLOW_READ_INDEX: Duration = Duration::from_millis(500);

/// One member. Everything in it is shared; there is one for each [`crate::Handle`] family.
pub(crate) struct Member {
    pub(crate) options: Options,
    pub(crate) peers: Peers,
    pub(crate) raft: Raft,
    pub(crate) reader: Reader,
    /// The position applied; a read of it and later finds the effects of every entry up to it.
    pub(crate) applied: watch::Receiver<u64>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// How far the space of physical compactions was given back here.
    pub(crate) reclaimed: watch::Receiver<Reclaimed>,
    pub(crate) proposer: Proposer,
    pub(crate) appender: Appender,
    pub(crate) read_index: ReadIndex,
    pub(crate) leases: LeaseKeeper,
    pub(crate) disk: Disk,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether this member is a learner, as far as it knows.
    pub(crate) learner: AtomicBool,
    /// Whether this member takes part.
    pub(crate) voice: Voice,
    /// What its log said of members when it started.
    pub(crate) unapplied: Unapplied,
    /// Who this member is.
    pub(crate) identity: Identity,
    /// How many backups may be read at one time: each pins files on the disk.
    pub(crate) backups: Arc<Semaphore>,
    /// Reading everything to compare it with other members, one at a time.
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) auth: Auth,
}

pub(crate) type Shared = Arc<Member>;

impl Member {
    pub(crate) fn own_id(&self) -> u64 {
        self.peers.own_id()
    }

    pub(crate) fn now_leadership(&self) -> Leadership {
        *self.leadership.borrow()
    }

    /// Whether this member believes to lead. It may have been deposed already.
    pub(crate) fn leads(&self) -> bool {
        self.now_leadership().leader_id == Some(self.own_id())
    }

    /// When a request that arrives now must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.request_timeout
    }

    /// Waits until everything up to `position` is applied here.
    ///
    /// # Errors
    /// [`Error::Timeout`] at the deadline, [`Error::Stopped`].
    pub(crate) async fn wait_applied(&self, position: u64, deadline: Instant) -> Result<(), Error> {
        if *self.applied.borrow() >= position {
            return Ok(());
        }
        let mut applied = self.applied.clone();
        match tokio::time::timeout_at(deadline, applied.wait_for(|now| *now >= position)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Waits until everything acknowledged before this call is applied here.
    ///
    /// # Errors
    /// [`Error::NoLeader`] or [`Error::Timeout`] at the deadline, [`Error::Stopped`].
    pub(crate) async fn barrier(&self, deadline: Instant) -> Result<(), Error> {
        let asked = Instant::now();
        let position = self.read_index.position(deadline).await;
        if asked.elapsed() > SLOW_READ_INDEX {
            self.metrics.read_indexes_slow.inc();
        }
        let position = position.inspect_err(|_| self.metrics.read_indexes_failed.inc())?;
        self.wait_applied(position, deadline).await
    }

    pub(crate) fn status(&self) -> Status {
        let leadership = self.now_leadership();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let applied = self.reader.applied();
        Status {
            leader_id: leadership.leader_id,
            term: metrics.current_term.max(leadership.term),
            revision: self.reader.revision(),
            applied_index: applied.index,
            committed_index: codec::position(metrics.cluster_committed.or(metrics.local_committed).map(|id| id.index))
                .max(applied.index),
            last_log_index: codec::position(metrics.last_log_index),
            settled: metrics.membership_config.membership().get_joint_config().len() == 1,
            database_bytes: i64::try_from(self.reader.bytes_total()).unwrap_or(i64::MAX),
            database_bytes_in_use: i64::try_from(self.reader.bytes_in_use()).unwrap_or(i64::MAX),
        }
    }

    /// The figures that are read when somebody asks for all.
    pub(crate) fn scrape(&self) -> Scrape {
        let status = self.status();
        let database_bytes = self.reader.bytes_total();
        let quota_bytes = match self.options.quota_bytes {
            0 => database_bytes.saturating_add(self.disk.room_bytes()),
            quota => quota,
        };
        let (watchers, slow_watchers) = self.reader.watchers();
        Scrape {
            leader_known: status.leader_id.is_some(),
            leads: self.leads(),
            learner: self.learner.load(Ordering::Relaxed),
            committed_index: status.committed_index,
            applied_index: status.applied_index,
            database_bytes,
            live_bytes: self.reader.bytes_in_use(),
            quota_bytes,
            revision: status.revision,
            compacted: self.reader.compacted(),
            watchers,
            slow_watchers,
            auth_revision: self.reader.auth().table().revision(),
        }
    }

    /// The same for a peer.
    pub(crate) fn status_response(&self) -> MemberStatusResponse {
        let status = self.status();
        MemberStatusResponse {
            member_id: self.own_id(),
            leader_id: status.leader_id.unwrap_or(0),
            term: status.term,
            revision: status.revision,
            applied_index: status.applied_index,
            last_log_index: status.last_log_index,
            database_bytes: status.database_bytes,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            committed_index: status.committed_index,
            store_url: self.options.store_url(),
            // The first entry is the membership that every founder writes; the next one is a leader's.
            formed: status.last_log_index > 1,
            membership: Some(codec::from_stored_membership(&self.raft.metrics().borrow_watched().membership_config)),
            members: self.reader.cluster().members.clone(),
            asker_removed: false,
            leader_term: self.now_leadership().term,
            voiceless: !self.voice.may_vote(),
        }
    }

    /// Whether `id` was removed, and consensus does without it.
    pub(crate) fn was_removed(&self, id: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let gone = |membership: &StoredMembership| !membership.nodes().any(|(node, ())| *node == id);
        self.reader.cluster().removed_ids.contains(&id)
            && gone(&metrics.membership_config)
            && gone(&metrics.committed_membership_config)
    }

    /// Who votes, as far as the log says.
    pub(crate) fn voters(&self) -> BTreeSet<u64> {
        self.raft.metrics().borrow_watched().membership_config.voter_ids().collect()
    }

    /// Hands leadership to `target`, or to the follower with the longest log of those that were just heard of, and waits until
    /// it leads.
    ///
    /// # Errors
    /// [`Error::NotLeader`], [`Error::BadTransferee`], [`Error::Timeout`] when nobody took over in time.
    pub(crate) async fn transfer_leadership(&self, target: Option<u64>, limit: Duration) -> Result<Leadership, Error> {
        let before = self.now_leadership();
        if before.leader_id != Some(self.own_id()) {
            return Err(Error::NotLeader);
        }
        let target = match target {
            Some(target) => target,
            // One that is gone may have the longest log, too; it would cost everybody an election.
            None => self.healthy_follower().or_else(|| self.best_follower()).ok_or(Error::BadTransferee)?,
        };
        if !self.voters().contains(&target) {
            return Err(Error::BadTransferee);
        }
        if target == self.own_id() {
            return Ok(before);
        }
        tracing::info!(target = format_args!("{target:016x}"), "handing leadership over");
        self.raft.trigger().transfer_leader(target).await.map_err(|_| Error::Stopped)?;
        let mut leadership = self.leadership.clone();
        let taken = leadership.wait_for(|now| now.term > before.term && now.leader_id.is_some());
        match tokio::time::timeout(limit, taken).await {
            Ok(Ok(now)) => Ok(*now),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// The follower with the longest log of those that vote and were heard of within an election timeout.
    pub(crate) fn healthy_follower(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = metrics.heartbeat.as_ref()?;
        let replication = metrics.replication.as_ref()?;
        let recently = |id: &u64| {
            let acked = heard.get(id).copied().flatten();
            acked.is_some_and(|acked| acked.elapsed() < self.options.election_timeout_max)
        };
        let voters = metrics.membership_config.membership().voter_ids();
        let others = voters.filter(|id| *id != self.own_id() && recently(id));
        others.max_by_key(|id| replication.get(id).copied().flatten())
    }

    /// The follower whose log is the longest.
    fn best_follower(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let stays = |id: &u64| !self.reader.cluster().removed_ids.contains(id);
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().filter(stays).collect();
        let others = replication.iter().filter(|(id, _)| **id != self.own_id() && voters.contains(id));
        others.max_by_key(|(_, matched)| **matched).map(|(id, _)| *id)
    }
}
