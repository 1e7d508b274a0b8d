//! The store as the rest of the process uses it.

mod answer;
mod backup;
pub(crate) mod cluster;
mod members;
pub(crate) mod read;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keelson_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, HashKvResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseLeasesResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use keelson_proto::keelson::raft::v1::MemberStatusRequest;
use keelson_proto::keelson::store::v1::{
    AuthChanged, AuthCommand, LeaseGrant, LeaseRevoke, Reply, auth_command, command,
};
use keelson_types::Leadership;
use prost::Message as _;
use tokio::sync::watch::Receiver;

use crate::auth::{Access, Auth, Gate, Pass, Permissions};
use crate::member::Shared;
use crate::metrics::{Metrics, Scrape, UnderWay};
use crate::state::listing::Listing;
use crate::status::{Member, MemberStatus, Status};
use crate::{Error, validate, watch};
use crate::{forward, membership};
pub use backup::Piece;

/// No fence.
const NO_FENCE: u64 = 0;
/// The longest time to live of a lease, as in etcd.
const LEASE_TTL_SECONDS_MAX: i64 = 9_000_000_000;
/// How long a peer may take to say how it is.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// Access to the store through this member. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    member: Shared,
    /// What commands of this handle show for themselves: nothing, unless the etcd port uses it for a client.
    pass: Pass,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.member.options.name)
    }
}

impl Handle {
    pub(crate) fn new(member: Shared) -> Self {
        Self { member, pass: Pass::default() }
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.member.metrics
    }

    /// The figures of this moment.
    pub(crate) fn scrape(&self) -> Scrape {
        self.member.scrape()
    }

    /// Whether new data is refused because the disk is nearly full.
    pub(crate) fn is_full(&self) -> bool {
        self.member.disk.is_full()
    }

    /// Reads a range: linearizable, or from what this member has when `serializable` is set.
    ///
    /// # Errors
    /// What [`validate::range`] refuses; `Compacted`, `FutureRevision`; `NoLeader`, `Timeout`, `Stopped`, `Storage`.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        validate::range(&request)?;
        if !request.serializable {
            self.member.barrier(self.member.deadline()).await?;
        }
        self.member.metrics.ranges.inc();
        read::range(&self.member.reader, request).await
    }

    /// As [`Handle::range`], piece by piece: `begin` reads the first, where it may block on the disk. The pieces come in the
    /// order of keys, whatever the request says about order.
    ///
    /// # Errors
    /// As for [`Handle::range`].
    pub(crate) async fn list<T: Send + 'static>(
        &self,
        request: RangeRequest,
        fill_cache: bool,
        begin: impl FnOnce(Listing) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        validate::range(&request)?;
        self.member.metrics.ranges.inc();
        if !request.serializable {
            self.member.barrier(self.member.deadline()).await?;
        }
        let reader = self.member.reader.clone();
        read::blocking(move || begin(reader.list(request, fill_cache)?)).await
    }

    /// Puts one pair, through the leader.
    ///
    /// # Errors
    /// What [`validate::put`] refuses; `LeaseNotFound`, `KeyNotFound`; and those of every write: `TooLarge`, `NoSpace`,
    /// `TooManyRequests`, `NoLeader`, `Stopped`, and `Unknown` when it may or may not take effect.
    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        validate::put(&request)?;
        self.room()?;
        answer::put(self.write(NO_FENCE, command::Command::Put(request)).await?)
    }

    /// Deletes a range, through the leader.
    ///
    /// # Errors
    /// What [`validate::delete_range`] refuses, and those of every write.
    pub async fn delete_range(&self, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Error> {
        validate::delete_range(&request)?;
        answer::delete_range(self.write(NO_FENCE, command::Command::DeleteRange(request)).await?)
    }

    /// Runs a transaction. One that cannot write is a read, wherever it is sent.
    ///
    /// With a `fence_term` other than 0 it is refused as `Fenced` when the log entry that carries it has another term.
    ///
    /// # Errors
    /// What [`validate::txn`] refuses; `Fenced`; those of reads or of every write.
    pub async fn txn(&self, request: TxnRequest, fence_term: u64) -> Result<TxnResponse, Error> {
        validate::txn(&request, self.member.options.max_txn_ops)?;
        if fence_term == NO_FENCE && validate::txn_is_read_only(&request) {
            if !read::all_serializable(&request) {
                self.member.barrier(self.member.deadline()).await?;
            }
            return read::txn(&self.member.reader, request).await;
        }
        if validate::txn_may_put(&request) {
            self.room()?;
        }
        answer::txn(self.write(fence_term, command::Command::Txn(request)).await?)
    }

    /// Forgets versions that were superseded at or before a revision. A physical compaction is answered when this member has
    /// given their space back; the others do so, too, which nobody waits for.
    ///
    /// # Errors
    /// `Compacted`, `FutureRevision`, and those of every write; `Internal` when the space cannot be given back.
    pub async fn compact(&self, request: CompactionRequest) -> Result<CompactionResponse, Error> {
        validate::compact(&request)?;
        let CompactionRequest { revision, physical } = request;
        let reply = self.write(NO_FENCE, command::Command::Compact(request)).await?;
        let answer = answer::compact(reply).map_err(|error| match error {
            Error::Compacted { .. } => {
                Error::Compacted { requested: revision, compacted: self.member.reader.compacted() }
            }
            Error::FutureRevision { current, .. } => Error::FutureRevision { requested: revision, current },
            other => other,
        })?;
        if physical {
            self.member.wait_reclaimed(revision).await?;
        }
        Ok(answer)
    }

    /// Watches from what this member has applied. Never fails: see [`watch::Item`].
    pub fn watch(&self, options: watch::Options) -> watch::Watcher {
        self.member.reader.watch(options)
    }

    /// Grants a lease; id 0 lets the store choose one.
    ///
    /// # Errors
    /// `LeaseTtlTooLarge`, `LeaseExists`, and those of every write.
    pub async fn lease_grant(&self, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, Error> {
        if request.ttl > LEASE_TTL_SECONDS_MAX {
            return Err(Error::LeaseTtlTooLarge);
        }
        self.room()?;
        let chosen = request.id != 0;
        loop {
            let id = if chosen { request.id } else { rand::random_range(1..=i64::MAX) };
            let grant = LeaseGrant { id, ttl_seconds: request.ttl.max(self.lease_ttl_seconds_min()) };
            let reply = self.write(NO_FENCE, command::Command::LeaseGrant(grant)).await?;
            match answer::lease_grant(reply) {
                // One in 2⁶³ per lease; but then it must not be the caller's error.
                Err(Error::LeaseExists) if !chosen => {}
                other => return other,
            }
        }
    }

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// `LeaseNotFound`, and those of every write.
    pub async fn lease_revoke(&self, request: LeaseRevokeRequest) -> Result<LeaseRevokeResponse, Error> {
        let revoke = LeaseRevoke { id: request.id };
        answer::lease_revoke(self.write(NO_FENCE, command::Command::LeaseRevoke(revoke)).await?)
    }

    /// Starts a lease's time to live again, at the leader.
    ///
    /// # Errors
    /// `LeaseNotFound`; `NoLeader`, `Timeout`, `Stopped`.
    pub async fn lease_keep_alive(&self, request: LeaseKeepAliveRequest) -> Result<LeaseKeepAliveResponse, Error> {
        let ttl = forward::keep_alive(&self.member, request.id).await?;
        Ok(LeaseKeepAliveResponse { header: None, id: request.id, ttl })
    }

    /// How long a lease has left, by the leader's clock.
    ///
    /// # Errors
    /// `LeaseNotFound`; `NoLeader`, `Timeout`, `Stopped`, `Storage`.
    pub async fn lease_time_to_live(&self, request: LeaseTimeToLiveRequest) -> Result<LeaseTimeToLiveResponse, Error> {
        forward::time_to_live(&self.member, request).await
    }

    /// All leases, linearizably.
    ///
    /// # Errors
    /// `NoLeader`, `Timeout`, `Stopped`.
    pub async fn lease_leases(&self, _: LeaseLeasesRequest) -> Result<LeaseLeasesResponse, Error> {
        self.member.barrier(self.member.deadline()).await?;
        let leases = self.member.reader.leases().into_iter().map(|lease| LeaseStatus { id: lease.id }).collect();
        Ok(LeaseLeasesResponse { header: None, leases })
    }

    /// Returns when this member has applied everything that was acknowledged before the call; then what it reads locally
    /// is linearizable. Gives the applied revision.
    ///
    /// # Errors
    /// `NoLeader`, `Timeout`, `Stopped`.
    pub async fn read_barrier(&self) -> Result<i64, Error> {
        self.member.barrier(self.member.deadline()).await?;
        Ok(self.revision())
    }

    /// The revision that this member has applied.
    pub fn revision(&self) -> i64 {
        self.member.reader.revision()
    }

    /// The newest revision whose events the watches of this member have been handed; a moment behind [`Self::revision`].
    pub fn published(&self) -> i64 {
        self.member.reader.published()
    }

    /// Who leads, as this member knows. `leading` turns true only after everything of earlier terms is applied here.
    pub fn leadership(&self) -> Receiver<Leadership> {
        self.member.leadership.clone()
    }

    /// What this member knows of itself.
    pub fn status(&self) -> Status {
        self.member.status()
    }

    /// All members, each asked how it is. Takes half a second at most; a member that does not answer has an `error`.
    pub async fn member_statuses(&self) -> Vec<MemberStatus> {
        let voters = self.member.voters();
        let members = self.members();
        let asked = members.into_iter().map(|member| self.ask(member, &voters));
        let mut statuses: Vec<(MemberStatus, u64)> = futures::future::join_all(asked).await;
        let longest = statuses.iter().map(|(_, last)| *last).max().unwrap_or(0);
        for (status, _) in &mut statuses {
            if status.error.is_empty() {
                status.lag_entries = longest.saturating_sub(status.applied_index);
            }
        }
        statuses.into_iter().map(|(status, _)| status).collect()
    }

    /// One member's status, and the length of its log.
    async fn ask(&self, member: Member, voters: &BTreeSet<u64>) -> (MemberStatus, u64) {
        let peer = self.member.peers.get(member.id);
        let unknown = MemberStatus {
            id: member.id,
            name: member.name,
            peer_address: peer.as_ref().map(|peer| peer.address.clone()).unwrap_or_default(),
            store_address: member.client_urls.into_iter().next().unwrap_or_default(),
            voter: voters.contains(&member.id),
            ..MemberStatus::default()
        };
        let answer = match peer {
            _ if member.id == self.member.own_id() => Ok(self.member.status_response()),
            None => Err("its address is not known".to_owned()),
            Some(peer) => {
                let mut client = peer.questions();
                let request = MemberStatusRequest { asking_member_id: self.member.own_id() };
                match tokio::time::timeout(STATUS_TIMEOUT, client.member_status(request)).await {
                    Ok(Ok(response)) => Ok(response.into_inner()),
                    Ok(Err(status)) => Err(status.message().to_owned()),
                    Err(_) => Err("it does not answer".to_owned()),
                }
            }
        };
        match answer {
            Err(error) => (MemberStatus { error, ..unknown }, 0),
            Ok(found) => {
                let status = MemberStatus {
                    store_address: found.store_url,
                    leader: found.leader_id == found.member_id,
                    term: found.term,
                    revision: found.revision,
                    applied_index: found.applied_index,
                    database_bytes: found.database_bytes,
                    version: found.version,
                    ..unknown
                };
                (status, found.last_log_index)
            }
        }
    }

    /// The members, as far as this one knows; those that it was started with before there is a list.
    pub fn members(&self) -> Vec<Member> {
        let cluster = self.member.reader.cluster();
        let records =
            if cluster.members.is_empty() { membership::founders(&self.member) } else { cluster.members.clone() };
        records.into_iter().map(Member::from).collect()
    }

    /// See [`crate::Options::cluster_id`].
    pub fn cluster_id(&self) -> u64 {
        self.member.identity.cluster_id
    }

    /// See [`crate::Options::member_id`].
    pub fn member_id(&self) -> u64 {
        self.member.own_id()
    }

    /// Hands leadership to `target`, or to the follower with the longest log. Gives the new leader and its term.
    ///
    /// # Errors
    /// `BadTransferee`, `NoLeader`, `Timeout` when nobody took over within some seconds, `Stopped`.
    pub async fn move_leader(&self, target: Option<u64>) -> Result<(u64, u64), Error> {
        forward::move_leader(&self.member, target).await
    }

    /// The checksum of this member's content at a revision; 0 means its newest. Equal on all members that have it.
    ///
    /// # Errors
    /// `Compacted`, `FutureRevision`, `Stopped`, `Storage`.
    pub async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, Error> {
        let reader = self.member.reader.clone();
        let _measured = self.member.metrics.hash_rev_seconds.start_timer();
        read::blocking(move || reader.hash_kv(revision)).await
    }

    /// The same store, for a client whose request was checked.
    pub(crate) fn under(&self, pass: Pass) -> Self {
        Self { member: Arc::clone(&self.member), pass }
    }

    /// Authentication on this member.
    pub(crate) fn auth(&self) -> &Auth {
        &self.member.auth
    }

    /// Who may do what, as this member has applied it.
    pub(crate) fn gate(&self) -> &Gate {
        self.member.reader.auth()
    }

    /// Changes who may do what.
    ///
    /// # Errors
    /// The change's refusals, and those of every write.
    pub(crate) async fn change_auth(&self, change: auth_command::Command) -> Result<AuthChanged, Error> {
        let command = command::Command::Auth(AuthCommand { command: Some(change) });
        answer::auth_changed(self.write(NO_FENCE, command).await?)
    }

    /// Whether all keys that are attached to leases, as far as this member has applied them, may be accessed.
    pub(crate) async fn lease_keys_allowed(
        &self,
        leases: Vec<i64>,
        access: Access,
        permissions: Arc<Permissions>,
    ) -> Result<bool, Error> {
        let reader = self.member.reader.clone();
        read::blocking(move || {
            for lease in leases {
                for (from, to) in permissions.denied(access) {
                    if reader.has_lease_key(lease, from, to)? {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        })
        .await
    }

    /// Leases shorter than an election would end with it: as etcd, one and a half times its longest.
    fn lease_ttl_seconds_min(&self) -> i64 {
        let shortest = self.member.options.election_timeout_max.as_millis() * 3 / 2;
        i64::try_from(shortest.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// Whether there is room for new data, here and on every other member.
    fn room(&self) -> Result<(), Error> {
        let full = self.member.disk.is_full() || self.member.reader.alarms().no_space;
        if full { Err(Error::NoSpace) } else { Ok(()) }
    }

    async fn write(&self, fence_term: u64, command: command::Command) -> Result<Reply, Error> {
        // Whoever is to take the alarm back must be able to say who they are.
        let of_auth = matches!(command, command::Command::Auth(_));
        if self.member.reader.alarms().corrupt && !of_auth {
            return Err(Error::Corrupt);
        }
        let command = self.pass.stamp(fence_term, command);
        if command.encoded_len() > self.member.options.max_request_bytes {
            return Err(Error::TooLarge);
        }
        let metrics = &self.member.metrics;
        let _under_way = UnderWay::new(&metrics.proposals_pending);
        let outcome = self.member.proposer.propose(command, self.member.deadline()).await;
        if outcome.is_err() {
            metrics.proposals_failed.inc();
        }
        outcome
    }
}
