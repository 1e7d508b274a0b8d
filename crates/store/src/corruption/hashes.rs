//! The checksums of this member and of the others.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use keelson_proto::keelson::raft::v1::{HashKvRequest, MemberStatusRequest};
use tokio_util::sync::CancellationToken;

use super::verdict::Content;
use crate::Error;
use crate::handle::read::blocking;
use crate::member::Member;
use crate::peers::Peer;
use crate::state::Reader;

/// Which checksum this version makes (`mvcc/hash.rs`): those of others are not comparable.
pub(crate) const ALGORITHM: u32 = 1;

/// A member that says nothing at all for so long is not asked for what takes longer. All may be about to start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A member that has not read everything by then is passed over. At 200 MB/s that is more than a hundred GB.
const HASH_TIMEOUT: Duration = Duration::from_secs(600);

/// What a member holds at `revision`, once it has applied that.
///
/// # Errors
/// `FutureRevision` when it does not reach it in time, `Compacted`, `Stopped`, `Storage`.
pub(crate) async fn of_this_member(member: &Member, revision: i64) -> Result<Content, Error> {
    let mut applied = member.applied.clone();
    let reached = applied.wait_for(|_| member.reader.revision() >= revision);
    match tokio::time::timeout_at(member.deadline(), reached).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err(Error::Stopped),
        Err(_) => return Err(Error::FutureRevision { requested: revision, current: member.reader.revision() }),
    }
    let turn = Arc::clone(&member.hashing).acquire_owned().await.map_err(|_| Error::Stopped)?;
    read(&member.reader, revision, turn).await
}

/// The same before there is a member.
pub(super) async fn at(reader: &Reader, revision: i64) -> Result<Content, Error> {
    read(reader, revision, ()).await
}

/// Keeps `turn` until nothing is read any more, which is soon after nobody waits for it.
async fn read<T: Send + 'static>(reader: &Reader, revision: i64, turn: T) -> Result<Content, Error> {
    let gone = CancellationToken::new();
    let _gone_when_dropped = gone.clone().drop_guard();
    let reader = reader.clone();
    let found = blocking(move || {
        let found = reader.hash_kv_while(revision, || !gone.is_cancelled());
        drop(turn);
        found
    });
    let found = found.await?;
    Ok(Content {
        hash: found.hash,
        newest_revision: found.header.unwrap_or_default().revision,
        compacted_revision: found.compact_revision,
    })
}

/// What each of `peers` holds at `revision`; None of those that cannot tell.
pub(super) async fn of_others(peers: Vec<Arc<Peer>>, revision: i64) -> Vec<(u64, Option<Content>)> {
    let all: Vec<u64> = peers.iter().map(|peer| peer.id).collect();
    let found = of_all(that_answer(peers).await, revision).await;
    let of = |id: u64| found.iter().find(|(other, _)| *other == id).and_then(|(_, content)| *content);
    all.into_iter().map(|id| (id, of(id))).collect()
}

/// Those of `peers` that say anything at all.
pub(super) async fn that_answer(peers: Vec<Arc<Peer>>) -> Vec<Arc<Peer>> {
    let asked = peers.into_iter().map(|peer| async move {
        let mut client = peer.questions();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.member_status(MemberStatusRequest::default()));
        let answers = matches!(answer.await, Ok(Ok(_)));
        if !answers {
            tracing::warn!(
                member = format_args!("{:016x}", peer.id),
                "a member that is to be compared does not answer"
            );
        }
        answers.then_some(peer)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What each of `peers`, which have answered, holds at `revision`.
pub(super) async fn of_all(peers: Vec<Arc<Peer>>, revision: i64) -> Vec<(u64, Option<Content>)> {
    join_all(peers.into_iter().map(|peer| async move { (peer.id, of_other(&peer, revision).await) })).await
}

async fn of_other(peer: &Peer, revision: i64) -> Option<Content> {
    let member = format!("{:016x}", peer.id);
    let mut client = peer.questions();
    match tokio::time::timeout(HASH_TIMEOUT, client.hash_kv(HashKvRequest { revision })).await {
        Ok(Ok(answer)) if answer.get_ref().algorithm == ALGORITHM => {
            let found = answer.into_inner();
            Some(Content {
                hash: found.hash,
                newest_revision: found.newest_revision,
                compacted_revision: found.compacted_revision,
            })
        }
        Ok(Ok(_)) => {
            tracing::warn!(member, "a member of another version makes other checksums");
            None
        }
        Ok(Err(status)) => {
            tracing::warn!(member, revision, %status, "a member cannot be compared");
            None
        }
        Err(_) => {
            tracing::warn!(member, revision, "a member takes too long to be compared");
            None
        }
    }
}
