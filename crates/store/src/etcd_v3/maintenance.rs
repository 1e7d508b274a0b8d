//! The Maintenance service: status, alarms, hashes, backups, moving the leader.

mod downgrade;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::maintenance_server::Maintenance;
use keelson_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest,
    MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use keelson_proto::keelson::store::v1::Alarm;
use tonic::{Request, Response, Status};

use super::ETCD_VERSION;
use super::front::Front;
use crate::Error;

/// Active alarms, of which clients may raise any for ids that no member has: each change writes all of them.
const ALARMS_MAX: usize = 100;

impl Front {
    fn has_room_for_alarm(&self, member_id: u64, alarm: i32) -> Result<(), Status> {
        let cluster = self.handle.cluster();
        let is_active = cluster.alarms.iter().any(|found| (found.member_id, found.alarm) == (member_id, alarm));
        if is_active || cluster.alarms.len() < ALARMS_MAX {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!("keelson: {ALARMS_MAX} alarms are active already")))
    }
}

#[tonic::async_trait]
impl Maintenance for Front {
    /// Lists, raises or clears alarms. Type NONE lists all, and is neither raised nor cleared.
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        let (caller, request) = self.enter(request)?;
        let AlarmRequest { action, member_id, alarm } = request;
        let action =
            AlarmAction::try_from(action).map_err(|_| Status::invalid_argument("keelson: unknown alarm action"))?;
        let kind = AlarmType::try_from(alarm).map_err(|_| Status::invalid_argument("keelson: unknown alarm type"))?;
        let meant = |found: &&Alarm| kind == AlarmType::None || found.alarm == alarm;
        let of = |found: &Alarm| AlarmMember { member_id: found.member_id, alarm: found.alarm };
        match action {
            AlarmAction::Get => drop(caller.known().await?),
            AlarmAction::Activate | AlarmAction::Deactivate => drop(caller.newest_root().await?),
        }
        let alarms = match action {
            AlarmAction::Get => {
                self.handle.read_barrier().await?;
                self.handle.cluster().alarms.iter().filter(meant).map(of).collect()
            }
            _ if kind == AlarmType::None => Vec::new(),
            AlarmAction::Activate => {
                self.has_room_for_alarm(member_id, alarm)?;
                let after = self.handle.raise_alarm(member_id, kind).await?;
                after.iter().filter(meant).filter(|found| found.member_id == member_id).map(of).collect()
            }
            AlarmAction::Deactivate => {
                let before = self.handle.cluster();
                let after = self.handle.clear_alarm(member_id, kind).await?;
                before.alarms.iter().filter(meant).filter(|found| !after.contains(found)).map(of).collect()
            }
        };
        Ok(Response::new(AlarmResponse { header: Some(self.header(self.handle.revision())), alarms }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.admit(request.metadata())?;
        let status = self.handle.status();
        let cluster = self.handle.cluster();
        let mut errors = Vec::new();
        if status.leader_id.is_none() {
            errors.push(Status::from(Error::NoLeader).message().to_owned());
        }
        // As Go prints the message, which is what etcd puts here.
        let words = |alarm: &Alarm| {
            let name = AlarmType::try_from(alarm.alarm).map_or("", |kind| kind.as_str_name());
            format!("memberID:{} alarm:{name} ", alarm.member_id)
        };
        errors.extend(cluster.alarms.iter().map(words));
        let downgrade = cluster.downgrade.as_ref();
        Ok(Response::new(StatusResponse {
            header: Some(self.header(status.revision)),
            version: ETCD_VERSION.to_owned(),
            db_size: status.database_bytes,
            leader: status.leader_id.unwrap_or(0),
            raft_index: status.committed_index,
            raft_term: status.term,
            raft_applied_index: status.applied_index,
            errors,
            db_size_in_use: status.database_bytes_in_use,
            is_learner: self.handle.is_learner(),
            storage_version: ETCD_VERSION.to_owned(),
            // As the metric has it.
            db_size_quota: i64::try_from(self.handle.scrape().quota_bytes).unwrap_or(i64::MAX),
            downgrade_info: Some(DowngradeInfo {
                enabled: downgrade.is_some(),
                target_version: downgrade.map_or_else(String::new, |wanted| wanted.target_version.clone()),
            }),
        }))
    }

    /// Succeeds at once: files are kept compact in the background, and there is no free list to give back.
    async fn defragment(&self, request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        self.admit(request.metadata())?;
        Ok(Response::new(DefragmentResponse { header: Some(self.header(self.handle.revision())) }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.admit(request.metadata())?;
        let (hash, revision) = self.handle.hash().await?;
        Ok(Response::new(HashResponse { header: Some(self.header(revision)), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.admit(request.metadata())?;
        let mut response = self.handle.hash_kv(request.into_inner().revision).await?;
        self.complete(&mut response.header);
        Ok(Response::new(response))
    }

    type SnapshotStream = BoxStream<'static, Result<SnapshotResponse, Status>>;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.admit(request.metadata())?;
        let (revision, pieces) = self.handle.backup().await?;
        let header = self.header(revision);
        let responses = pieces.map(move |piece| {
            let piece = piece?;
            Ok(SnapshotResponse {
                header: Some(header),
                remaining_bytes: piece.remaining_bytes,
                blob: piece.blob.into(),
                version: ETCD_VERSION.to_owned(),
            })
        });
        Ok(Response::new(responses.boxed()))
    }

    /// Moves the leader when this member leads; another member answers "not leader", as etcd does.
    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.admit(request.metadata())?;
        if self.leadership.borrow().leader_id != Some(self.handle.member_id()) {
            return Err(Error::NotLeader.into());
        }
        let target = request.into_inner().target_id;
        if !self.handle.members().iter().any(|member| member.id == target && !member.learner) {
            return Err(Error::BadTransferee.into());
        }
        self.handle.move_leader(Some(target)).await?;
        Ok(Response::new(MoveLeaderResponse { header: Some(self.header(self.handle.revision())) }))
    }

    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        self.admit(request.metadata())?;
        let version = downgrade::answer(&self.handle, request.into_inner()).await?;
        Ok(Response::new(DowngradeResponse { header: Some(self.header(self.handle.revision())), version }))
    }
}
