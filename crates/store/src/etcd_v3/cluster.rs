//! The Cluster service: members are listed, added, removed, moved and promoted.

use keelson_proto::etcdserverpb::cluster_server::Cluster;
use keelson_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
    ResponseHeader,
};
use tonic::{Request, Response, Status};

use super::front::Front;
use crate::status;

impl Front {
    fn now(&self) -> Option<ResponseHeader> {
        Some(self.header(self.handle.revision()))
    }
}

fn listed(members: Vec<status::Member>) -> Vec<Member> {
    let of = |member: status::Member| Member {
        id: member.id,
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.learner,
    };
    members.into_iter().map(of).collect()
}

#[tonic::async_trait]
impl Cluster for Front {
    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.admit(request.metadata())?;
        if request.get_ref().linearizable {
            self.handle.read_barrier().await?;
        }
        let members = listed(self.handle.members());
        Ok(Response::new(MemberListResponse { header: self.now(), members }))
    }

    async fn member_add(&self, request: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        self.admit(request.metadata())?;
        let MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        let (id, members) = self.handle.member_add(peer_ur_ls, is_learner).await?;
        let members = listed(members);
        let member = members.iter().find(|member| member.id == id).cloned();
        Ok(Response::new(MemberAddResponse { header: self.now(), member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.admit(request.metadata())?;
        let members = listed(self.handle.member_remove(request.into_inner().id).await?);
        Ok(Response::new(MemberRemoveResponse { header: self.now(), members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        self.admit(request.metadata())?;
        let MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        let members = listed(self.handle.member_update(id, peer_ur_ls).await?);
        Ok(Response::new(MemberUpdateResponse { header: self.now(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        self.admit(request.metadata())?;
        let members = listed(self.handle.member_promote(request.into_inner().id).await?);
        Ok(Response::new(MemberPromoteResponse { header: self.now(), members }))
    }
}
