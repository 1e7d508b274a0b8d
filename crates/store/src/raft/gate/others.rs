//! Whom a member asks that may not take part yet.
//!
//! It asks members by their ids, so that none is heard twice by two addresses. Of those that it was started with, it may know
//! only the addresses: the id of a member that was added later is drawn. At its first start it was told the list of members
//! (`service/join.rs`), but one that stops before it has applied anything has forgotten it. Then whoever is at those
//! addresses is asked for the list. **Such an answer counts for nothing else.**

use std::collections::BTreeSet;
use std::time::Duration;

use keelson_proto::keelson::raft::v1::forward_client::ForwardClient;
use keelson_proto::keelson::raft::v1::{MemberStatusRequest, MemberStatusResponse};
use tonic::Code;

use super::Error;
use crate::peers::{Connection, Peers};

/// Who does not answer by then is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// An address, and a way to whoever is there.
type Way = (String, ForwardClient<Connection>);

/// The other members.
pub(super) struct Others {
    peers: Peers,
    /// By the addresses alone.
    unnamed: Vec<Way>,
}

impl Others {
    /// Those who `joins` may know the others by their addresses only.
    pub(super) fn new(peers: &Peers, joins: bool) -> Self {
        Self { peers: peers.clone(), unnamed: if joins { peers.unnamed() } else { vec![] } }
    }

    /// What all say who answer.
    ///
    /// # Errors
    /// [`Error::Removed`] when one of them says so; [`Error::OtherCluster`] when one does not belong to this one's.
    pub(super) async fn ask(&self) -> Result<Vec<MemberStatusResponse>, Error> {
        let named = self.peers.others().into_iter().map(|peer| (peer.address.clone(), peer.questions())).collect();
        let heard = self.ask_at(named).await?;
        if heard.is_empty() {
            self.follow(&self.ask_at(self.unnamed.clone()).await?);
        }
        Ok(heard)
    }

    /// From now on asks those whom the newest of these answers lists.
    pub(super) fn follow(&self, heard: &[MemberStatusResponse]) {
        if let Some(newest) = heard.iter().max_by_key(|status| status.applied_index) {
            self.peers.follow(&newest.members, &[], &BTreeSet::new());
        }
    }

    async fn ask_at(&self, ways: Vec<Way>) -> Result<Vec<MemberStatusResponse>, Error> {
        let request = MemberStatusRequest { asking_member_id: self.peers.own_id() };
        let answers = ways.into_iter().map(|(address, mut client)| async move {
            match tokio::time::timeout(ANSWER_TIMEOUT, client.member_status(request)).await {
                Ok(Ok(answer)) => Ok(Some(answer.into_inner())),
                Ok(Err(status)) if status.code() == Code::PermissionDenied => Err(Error::OtherCluster { address }),
                Ok(Err(_)) | Err(_) => Ok(None),
            }
        });
        let answers: Vec<_> = futures::future::join_all(answers).await.into_iter().collect::<Result<_, _>>()?;
        let heard: Vec<_> = answers.into_iter().flatten().collect();
        if heard.iter().any(|status| status.asker_removed) { Err(Error::Removed) } else { Ok(heard) }
    }
}
