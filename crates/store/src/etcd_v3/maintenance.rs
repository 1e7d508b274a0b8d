//! The Maintenance service: status, hash, moving the leader; and alarms, of which there are none yet.

use futures::stream::Empty;
use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::maintenance_server::Maintenance;
use keelson_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeInfo, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use tonic::{Request, Response, Status};

use super::ETCD_VERSION;
use super::front::Front;
use super::status_code::not_yet;
use crate::Error;

#[tonic::async_trait]
impl Maintenance for Front {
    /// `etcdctl endpoint health` asks for the alarms. Nothing can raise one yet, so the list is truly empty.
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.admit(request.metadata())?;
        match AlarmAction::try_from(request.get_ref().action) {
            Ok(AlarmAction::Get) => {
                Ok(Response::new(AlarmResponse { header: Some(self.header(self.handle.revision())), alarms: vec![] }))
            }
            Ok(AlarmAction::Activate | AlarmAction::Deactivate) => Err(not_yet("changing alarms by Maintenance.Alarm")),
            Err(_) => Err(Status::invalid_argument("keelson: unknown alarm action")),
        }
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let status = self.handle.status();
        let mut errors = Vec::new();
        if status.leader_id.is_none() {
            errors.push(Status::from(Error::NoLeader).message().to_owned());
        }
        Ok(Response::new(StatusResponse {
            header: Some(self.header(status.revision)),
            version: ETCD_VERSION.to_owned(),
            db_size: status.database_bytes,
            leader: status.leader_id.unwrap_or(0),
            raft_index: status.committed_index,
            raft_term: status.term,
            raft_applied_index: status.applied_index,
            errors,
            db_size_in_use: status.database_bytes,
            is_learner: false,
            storage_version: ETCD_VERSION.to_owned(),
            // No quota: the disk is the limit.
            db_size_quota: 0,
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    async fn defragment(&self, _: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        Err(not_yet("Maintenance.Defragment"))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        Err(not_yet("Maintenance.Hash"))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.hash_kv(request.into_inner().revision).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type SnapshotStream = Empty<Result<SnapshotResponse, Status>>;

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(not_yet("Maintenance.Snapshot"))
    }

    /// Moves the leader when this member leads; another member answers "not leader", as etcd does.
    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.admit(request.metadata())?;
        if self.leadership.borrow().leader_id != Some(self.handle.member_id()) {
            return Err(Error::NotLeader.into());
        }
        let target = request.into_inner().target_id;
        if !self.handle.members().iter().any(|member| member.id == target) {
            return Err(Error::BadTransferee.into());
        }
        self.handle.move_leader(Some(target)).await?;
        Ok(Response::new(MoveLeaderResponse { header: Some(self.header(self.handle.revision())) }))
    }

    async fn downgrade(&self, _: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        Err(not_yet("Maintenance.Downgrade"))
    }
}
