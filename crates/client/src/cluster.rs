//! Members and leadership.

use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::cluster_client::ClusterClient;

use crate::Error;
use crate::transport::{Safety, Transport};

/// The control plane itself.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) transport: Arc<Transport>,
}

impl Cluster {
    /// Every member as seen from the one asked; a member that does not answer is listed with its error.
    pub async fn status(&self) -> Result<proto::ClusterStatusResponse, Error> {
        let response = self
            .transport
            .call(Safety::Read, |channel| async move {
                ClusterClient::new(channel).status(proto::ClusterStatusRequest {}).await
            })
            .await?;
        Ok(response.into_inner())
    }

    /// Hands leadership to a voter, or to the best follower with 0. Returns when that one leads.
    pub async fn transfer_leader(&self, target_id: u64) -> Result<proto::TransferLeaderResponse, Error> {
        let response = self
            .transport
            .call(Safety::Write, |channel| async move {
                ClusterClient::new(channel).transfer_leader(proto::TransferLeaderRequest { target_id }).await
            })
            .await?;
        Ok(response.into_inner())
    }
}
