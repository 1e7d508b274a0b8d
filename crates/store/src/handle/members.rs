//! Changes of who the members are. Each gives all members after it.

use keelson_proto::keelson::raft::v1::change_members_request::Change;
use keelson_proto::keelson::store::v1::{MemberAdd, MemberPromote, MemberRemove, MemberUpdate};

use super::Handle;
use crate::options::url_authority;
use crate::status::Member;
use crate::{Error, membership};

/// Addresses of one member.
const PEER_URLS_MAX: usize = 16;
const PEER_URL_BYTES_MAX: usize = 1024;

impl Handle {
    /// Adds a member, which is then to be started with [`crate::Options::join`]. A voter takes part as a learner until it
    /// has caught up. Gives its id, too.
    ///
    /// # Errors
    /// `MemberUrls`, `PeerUrlExists`, `TooManyLearners`, `NotEnoughStarted`, and those of every write.
    pub async fn member_add(&self, peer_urls: Vec<String>, learner: bool) -> Result<(u64, Vec<Member>), Error> {
        check(&peer_urls)?;
        let id = rand::random_range(1..=u64::MAX);
        let members = self.change(Change::Add(MemberAdd { id, peer_urls, learner, strict: true })).await?;
        Ok((id, members))
    }

    /// Removes a member for good. When it leads, it hands leadership over before. It stops by itself.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotEnoughStarted`, `Unhealthy`, and those of every write.
    pub async fn member_remove(&self, id: u64) -> Result<Vec<Member>, Error> {
        self.change(Change::Remove(MemberRemove { id, strict: true })).await
    }

    /// Says where other members reach a member from now on.
    ///
    /// # Errors
    /// `MemberUrls`, `MemberNotFound`, `PeerUrlExists`, and those of every write.
    pub async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<Vec<Member>, Error> {
        check(&peer_urls)?;
        self.change(Change::Update(MemberUpdate { id, peer_urls })).await
    }

    /// Gives a learner that has caught up a vote.
    ///
    /// # Errors
    /// `MemberNotFound`, `NotALearner`, `LearnerNotReady`, `NotEnoughStarted`, and those of every write.
    pub async fn member_promote(&self, id: u64) -> Result<Vec<Member>, Error> {
        let members = self.change(Change::Promote(MemberPromote { id, strict: true })).await?;
        self.member.metrics.promotions.inc();
        Ok(members)
    }

    /// Whether this member is a learner: without a vote, and serving only what it can by itself.
    pub fn is_learner(&self) -> bool {
        self.member.learner.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn change(&self, change: Change) -> Result<Vec<Member>, Error> {
        let cluster = membership::change(&self.member, change).await?;
        Ok(cluster.members.into_iter().map(Member::from).collect())
    }
}

fn check(peer_urls: &[String]) -> Result<(), Error> {
    let usable = |url: &String| url.len() <= PEER_URL_BYTES_MAX && url_authority(url).is_some();
    let good = !peer_urls.is_empty() && peer_urls.len() <= PEER_URLS_MAX && peer_urls.iter().all(usable);
    if good { Ok(()) } else { Err(Error::MemberUrls) }
}
