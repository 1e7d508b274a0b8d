//! What members do for each other's clients: the `Forward` service, and calls of it.

use std::time::Duration;

use keelson_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use keelson_proto::keelson::raft::v1 as proto;
use keelson_proto::keelson::store::v1::Refusal;
use proto::forward_client::ForwardClient;
use proto::forward_server::Forward;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::member::{Member, Shared};
use crate::peers::{ClusterId, Connection};
use crate::{Error, corruption, membership};

/// How long a new leader may take to be known.
pub(crate) const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3);
/// Between attempts to reach the leader.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves `keelson.raft.v1.Forward`.
pub(crate) struct Server {
    member: Shared,
    cluster: ClusterId,
}

impl Server {
    pub(crate) fn new(member: Shared, cluster: ClusterId) -> Self {
        Self { member, cluster }
    }
}

/// Refusals keep their meaning between members of one version by these codes; anything else is unknown.
fn status(error: Error) -> Status {
    let code = match &error {
        Error::NotLeader | Error::NoLeader | Error::LeaderChanged => Code::FailedPrecondition,
        Error::LeaseNotFound => Code::NotFound,
        Error::TooManyRequests => Code::ResourceExhausted,
        Error::BadTransferee => Code::InvalidArgument,
        Error::Timeout => Code::DeadlineExceeded,
        Error::Compacted { .. } | Error::FutureRevision { .. } => Code::OutOfRange,
        _ => Code::Unknown,
    };
    Status::new(code, error.to_string())
}

#[tonic::async_trait]
impl Forward for Server {
    async fn propose(
        &self,
        request: Request<proto::ProposeRequest>,
    ) -> Result<Response<proto::ProposeResponse>, Status> {
        let request = self.cluster.check(request)?.into_inner();
        if !self.member.leads() {
            return Err(status(Error::NotLeader));
        }
        self.member.appender.append(request.batch).await.map_err(status)?;
        Ok(Response::new(proto::ProposeResponse {}))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexResponse>, Status> {
        self.cluster.check(request)?;
        if !self.member.leads() {
            return Err(status(Error::NotLeader));
        }
        let index = self.member.read_index.position(self.member.deadline()).await.map_err(status)?;
        Ok(Response::new(proto::ReadIndexResponse { index }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<proto::LeaseKeepAliveRequest>,
    ) -> Result<Response<proto::LeaseKeepAliveResponse>, Status> {
        let id = self.cluster.check(request)?.into_inner().id;
        let ttl_seconds = match keep_alive_here(&self.member, id).await {
            Err(Error::LeaseNotFound) => 0,
            other => other.map_err(status)?,
        };
        Ok(Response::new(proto::LeaseKeepAliveResponse { ttl_seconds }))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<proto::LeaseTimeToLiveRequest>,
    ) -> Result<Response<proto::LeaseTimeToLiveResponse>, Status> {
        let proto::LeaseTimeToLiveRequest { id, keys } = self.cluster.check(request)?.into_inner();
        let response = time_to_live_here(&self.member, LeaseTimeToLiveRequest { id, keys }).await.map_err(status)?;
        Ok(Response::new(proto::LeaseTimeToLiveResponse { response: Some(response) }))
    }

    async fn member_status(
        &self,
        request: Request<proto::MemberStatusRequest>,
    ) -> Result<Response<proto::MemberStatusResponse>, Status> {
        let asking = self.cluster.check(request)?.into_inner().asking_member_id;
        let asker_removed = asking != 0 && self.member.was_removed(asking);
        Ok(Response::new(proto::MemberStatusResponse { asker_removed, ..self.member.status_response() }))
    }

    async fn change_members(
        &self,
        request: Request<proto::ChangeMembersRequest>,
    ) -> Result<Response<proto::ChangeMembersResponse>, Status> {
        use proto::change_members_response::Outcome;
        let request = self.cluster.check(request)?.into_inner();
        let change = request.change.ok_or_else(|| Status::invalid_argument("no change"))?;
        let outcome = match membership::change_here(&self.member, change).await.map_err(status)? {
            Ok(cluster) => Outcome::Cluster(cluster),
            Err(reason) => Outcome::Refusal(Refusal { reason: reason.into(), ..Refusal::default() }),
        };
        Ok(Response::new(proto::ChangeMembersResponse { outcome: Some(outcome) }))
    }

    /// Whoever asks has a certificate of the store's authority; it cannot name the cluster, because it asks which it is.
    async fn join(&self, request: Request<proto::JoinRequest>) -> Result<Response<proto::JoinResponse>, Status> {
        let address = request.into_inner().peer_address;
        // One that was removed and added again at the same address must not be taken for its former self.
        self.member.barrier(self.member.deadline()).await.map_err(status)?;
        let members = self.member.reader.cluster().members.clone();
        let of = |url: &String| crate::options::url_authority(url).is_some_and(|found| found == address);
        let found = members.iter().find(|record| record.peer_urls.iter().any(of));
        let member_id = found.ok_or_else(|| Status::not_found("no member has that peer URL"))?.id;
        let cluster_id = self.member.identity.cluster_id;
        Ok(Response::new(proto::JoinResponse { cluster_id, member_id, members }))
    }

    async fn hash_kv(&self, request: Request<proto::HashKvRequest>) -> Result<Response<proto::HashKvResponse>, Status> {
        let revision = self.cluster.check(request)?.into_inner().revision;
        let found = corruption::of_this_member(&self.member, revision).await.map_err(status)?;
        Ok(Response::new(proto::HashKvResponse {
            hash: found.hash,
            newest_revision: found.newest_revision,
            compacted_revision: found.compacted_revision,
            algorithm: corruption::ALGORITHM,
        }))
    }

    async fn move_leader(
        &self,
        request: Request<proto::MoveLeaderRequest>,
    ) -> Result<Response<proto::MoveLeaderResponse>, Status> {
        let target = self.cluster.check(request)?.into_inner().target_id;
        let target = (target != 0).then_some(target);
        let now = self.member.transfer_leadership(target, TRANSFER_TIMEOUT).await.map_err(status)?;
        let leader_id = now.leader_id.unwrap_or(0);
        Ok(Response::new(proto::MoveLeaderResponse { leader_id, term: now.term }))
    }
}

async fn keep_alive_here(member: &Member, id: i64) -> Result<i64, Error> {
    if !member.leads() {
        return Err(Error::NotLeader);
    }
    // Confirms the leader, and makes sure that a lease granted before is seen.
    member.barrier(member.deadline()).await?;
    member.leases.renew(member, id).await
}

async fn time_to_live_here(member: &Member, request: LeaseTimeToLiveRequest) -> Result<LeaseTimeToLiveResponse, Error> {
    if !member.leads() {
        return Err(Error::NotLeader);
    }
    member.barrier(member.deadline()).await?;
    let LeaseTimeToLiveRequest { id, keys } = request;
    let lease = member.reader.lease(id).ok_or(Error::LeaseNotFound)?;
    let ttl = member.leases.remaining_seconds(member, id)?;
    let keys = if keys { member.reader.lease_keys(id)? } else { Vec::new() };
    Ok(LeaseTimeToLiveResponse { header: None, id, ttl, granted_ttl: lease.ttl_seconds, keys })
}

/// Renews a lease wherever the leader is; returns its time to live in seconds.
///
/// # Errors
/// [`Error::LeaseNotFound`]; [`Error::NoLeader`] at the deadline.
pub(crate) async fn keep_alive(member: &Member, id: i64) -> Result<i64, Error> {
    at_leader(
        member,
        || keep_alive_here(member, id),
        move |mut leader| async move {
            let response = leader.lease_keep_alive(proto::LeaseKeepAliveRequest { id }).await?.into_inner();
            Ok(if response.ttl_seconds > 0 { Ok(response.ttl_seconds) } else { Err(Error::LeaseNotFound) })
        },
    )
    .await
}

/// Asks the leader how long a lease has left.
///
/// # Errors
/// As for [`keep_alive`].
pub(crate) async fn time_to_live(
    member: &Member,
    request: LeaseTimeToLiveRequest,
) -> Result<LeaseTimeToLiveResponse, Error> {
    let LeaseTimeToLiveRequest { id, keys } = request;
    at_leader(
        member,
        || time_to_live_here(member, request),
        move |mut leader| async move {
            let call = leader.lease_time_to_live(proto::LeaseTimeToLiveRequest { id, keys }).await;
            match call {
                Err(status) if status.code() == Code::NotFound => Ok(Err(Error::LeaseNotFound)),
                Err(status) => Err(status),
                Ok(response) => Ok(response.into_inner().response.ok_or(Error::Internal("an empty answer".to_owned()))),
            }
        },
    )
    .await
}

/// Asks the leader to hand leadership over.
///
/// # Errors
/// [`Error::BadTransferee`], [`Error::NoLeader`], [`Error::Timeout`].
pub(crate) async fn move_leader(member: &Member, target: Option<u64>) -> Result<(u64, u64), Error> {
    let leader = member.now_leadership().leader_id.ok_or(Error::NoLeader)?;
    if leader == member.own_id() {
        let now = member.transfer_leadership(target, TRANSFER_TIMEOUT).await?;
        return Ok((now.leader_id.unwrap_or(0), now.term));
    }
    let peer = member.peers.get(leader).ok_or(Error::NoLeader)?;
    let request = proto::MoveLeaderRequest { target_id: target.unwrap_or(0) };
    let response = peer.forwards().move_leader(request).await.map_err(|status| match status.code() {
        Code::InvalidArgument => Error::BadTransferee,
        Code::DeadlineExceeded => Error::Timeout,
        _ => Error::NoLeader,
    })?;
    let response = response.into_inner();
    Ok((response.leader_id, response.term))
}

/// Runs an idempotent request where the leader is, and again when it turns out to be elsewhere, until the deadline.
async fn at_leader<T, H, F>(
    member: &Member,
    here: impl Fn() -> H,
    there: impl Fn(ForwardClient<Connection>) -> F,
) -> Result<T, Error>
where
    H: Future<Output = Result<T, Error>>,
    F: Future<Output = Result<Result<T, Error>, Status>>,
{
    let deadline = member.deadline();
    loop {
        match member.now_leadership().leader_id {
            Some(leader) if leader == member.own_id() => match here().await {
                Err(Error::NotLeader | Error::NoLeader) => {}
                other => return other,
            },
            Some(leader) => {
                if let Some(peer) = member.peers.get(leader) {
                    match tokio::time::timeout_at(deadline, there(peer.forwards())).await {
                        Ok(Ok(outcome)) => return outcome,
                        Ok(Err(status)) => tracing::debug!(%status, "the leader did not answer"),
                        Err(_) => return Err(Error::Timeout),
                    }
                }
            }
            None => {}
        }
        if Instant::now() >= deadline {
            return Err(Error::NoLeader);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
