//! `keelson.api.v1.Cluster`.

use std::collections::BTreeMap;
use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::cluster_server::Cluster;
use keelson_store::Error;
use keelson_types::status::{Reason, Status};
use tonic::{Code, Request, Response};

use super::user;
use crate::pipeline::{Pipeline, Verb};
use crate::status_code::{self, grpc, grpc_with};

pub struct Service {
    pipeline: Arc<Pipeline>,
    /// By member's name.
    api_addresses: BTreeMap<String, String>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>, api_addresses: BTreeMap<String, String>) -> Service {
        Service { pipeline, api_addresses }
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn status(
        &self,
        request: Request<proto::ClusterStatusRequest>,
    ) -> Result<Response<proto::ClusterStatusResponse>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        self.pipeline.authorize_path(&user, Verb::Get, "/cluster").map_err(|status| grpc(&status))?;
        let store = self.pipeline.store();
        let members = store.member_statuses().await.into_iter().map(|member| self.member(member)).collect();
        Ok(Response::new(proto::ClusterStatusResponse {
            cluster_id: store.cluster_id(),
            members,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderResponse>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        self.pipeline.authorize_path(&user, Verb::Update, "/cluster/leader").map_err(|status| grpc(&status))?;
        let target = match request.into_inner().target_id {
            0 => None,
            id => Some(id),
        };
        let (leader_id, term) = self.pipeline.store().move_leader(target).await.map_err(told)?;
        Ok(Response::new(proto::TransferLeaderResponse { leader_id, term }))
    }
}

fn told(error: Error) -> tonic::Status {
    match error {
        Error::BadTransferee => {
            let message = "the member cannot take over: it is not a voter, or it lags too far behind";
            grpc_with(Code::FailedPrecondition, &Status::new(Reason::Conflict, message))
        }
        error => grpc(&status_code::of_write(error, 0)),
    }
}

impl Service {
    fn member(&self, member: keelson_store::MemberStatus) -> proto::Member {
        proto::Member {
            api_address: self.api_addresses.get(&member.name).cloned().unwrap_or_default(),
            id: member.id,
            name: member.name,
            peer_address: member.peer_address,
            store_address: member.store_address,
            leader: member.leader,
            voter: member.voter,
            term: member.term,
            revision: member.revision,
            applied_index: member.applied_index,
            lag_entries: member.lag_entries,
            database_bytes: member.database_bytes,
            error: member.error,
            version: member.version,
        }
    }
}
