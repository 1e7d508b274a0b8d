//! Who a member is that was added to a cluster and starts for the first time: those who are there already tell it.

use std::time::Duration;

use keelson_proto::keelson::raft::v1::JoinRequest;
use keelson_proto::keelson::store::v1::MemberRecord;
use tokio::time::Instant;
use tonic::Code;

use super::Error;
use crate::peers::Connector;
use crate::raft::log::{Identity, Log};
use crate::{Options, machine};

/// How long somebody is looked for who knows this member. Members that are asked may themselves be about to learn of it.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the other members of `options`; gives the answer with all members. None for a founder, and for a member that has
/// its data and knows who it is.
///
/// # Errors
/// [`Error::NotAdded`] when none of them knows of this member in time.
pub(super) async fn identity(
    options: &Options,
    connector: &Connector,
) -> Result<Option<(Identity, Vec<MemberRecord>)>, Error> {
    let log = options.data_dir.join("log");
    if !options.join || machine::spawn_blocking(move || Log::exists(&log)).await.map_err(Error::Task)? {
        return Ok(None);
    }
    let Some(own) = options.peers.iter().find(|peer| peer.name == options.name) else { return Ok(None) };
    let deadline = Instant::now() + PATIENCE;
    let mut heard = String::from("nobody else is in the initial cluster");
    loop {
        for peer in options.peers.iter().filter(|peer| peer.name != options.name) {
            let mut client = connector.stranger(&peer.address).map_err(Error::Peers)?;
            let request = JoinRequest { peer_address: own.address.clone() };
            match tokio::time::timeout(ANSWER_TIMEOUT, client.join(request)).await {
                Ok(Ok(response)) => {
                    let found = response.into_inner();
                    let identity = Identity { cluster_id: found.cluster_id, member_id: found.member_id };
                    tracing::info!(member = format_args!("{:016x}", identity.member_id), "joining the cluster");
                    return Ok(Some((identity, found.members)));
                }
                Ok(Err(status)) if status.code() == Code::NotFound => {
                    heard = format!("{} does not know a member at {}", peer.name, own.address);
                }
                Ok(Err(status)) => heard = format!("{}: {}", peer.name, status.message()),
                Err(_) => heard = format!("{} does not answer", peer.name),
            }
        }
        if Instant::now() >= deadline {
            return Err(Error::NotAdded { heard });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
