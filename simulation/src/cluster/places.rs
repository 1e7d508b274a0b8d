//! Who lives where: members are added to places, and places are taken again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keelson_store::service::Error;
use keelson_store::{Handle, Member, Peer};

use super::Cluster;
use crate::world::{address_of, member_at};

/// A member of the replicated list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub place: usize,
    pub id: u64,
    pub learner: bool,
    /// It has said its name.
    pub started: bool,
}

impl From<Member> for Listed {
    fn from(member: Member) -> Self {
        let url = member.peer_urls.first().expect("a member has an address");
        let place = member_at(url.trim_start_matches("https://"));
        Self { place, id: member.id, learner: member.learner, started: !member.name.is_empty() }
    }
}

/// What other members are told to dial.
pub fn url_of(place: usize) -> String {
    format!("https://{}", address_of(place))
}

impl Cluster {
    /// The members, as nobody can have changed them before this was asked. None when there was no answer.
    pub async fn list(&self, asked: usize) -> Option<Vec<Listed>> {
        let read = |handle: Handle| async move { handle.read_barrier().await.map(|_| handle.members()) };
        let known = self.invariants.members.known();
        let listed: Vec<Listed> = self.call(asked, read).await?.ok()?.into_iter().map(Listed::from).collect();
        self.trace.line(format_args!("member {asked} lists {listed:?}"));
        self.invariants.members.listed(&known, &listed);
        Some(listed)
    }

    /// Places to which a member can be added: those where nobody was, and those whose member was removed for sure.
    pub fn free(&self, listed: &[Listed]) -> Vec<usize> {
        let removed = |place: usize| self.id(place).is_some_and(|id| self.invariants.members.was_removed(id));
        let free = |place: &usize| !self.members[*place].taken.load(Ordering::Relaxed) || removed(*place);
        let listed = |place: &usize| listed.iter().any(|member| member.place == *place);
        (0..self.size()).filter(|place| !listed(place)).filter(free).collect()
    }

    /// Who ran last at a place.
    pub fn id(&self, place: usize) -> Option<u64> {
        *self.members[place].id.lock()
    }

    /// Starts a member at a place for the first time, among those listed.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn settle(self: &Arc<Self>, place: usize, listed: &[Listed]) -> io::Result<()> {
        self.crash(place)?;
        let member = &self.members[place];
        {
            let peer = |place: usize| Peer { name: format!("m{place}"), address: address_of(place) };
            let mut options = member.options.lock();
            let others = listed.iter().map(|listed| listed.place).filter(|other| *other != place);
            options.peers = others.chain([place]).map(peer).collect();
            options.join = true;
        }
        member.taken.store(true, Ordering::Relaxed);
        self.start(place)
    }

    /// Leaves a place to whoever comes next, with what is on its disk.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn vacate(&self, place: usize) -> io::Result<()> {
        self.trace.line(format_args!("member {place} is retired"));
        self.crash(place)?;
        self.members[place].taken.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Settles those listed who are not where they should be: nobody started them, or who was there before has left its
    /// disk behind.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn adopt(self: &Arc<Self>, listed: &[Listed]) -> io::Result<()> {
        for member in listed {
            let former = self.id(member.place).is_some_and(|id| id != member.id);
            if former {
                self.crash(member.place)?;
                self.wipe(member.place)?;
                *self.members[member.place].id.lock() = None;
            }
            if former || !self.members[member.place].taken.load(Ordering::Relaxed) {
                self.settle(member.place, listed)?;
            }
        }
        Ok(())
    }

    /// Whether a member may come to such an end although its disk works.
    pub(super) fn may_end(&self, i: usize, result: &Result<(), Error>) -> bool {
        match result {
            // Nobody who knows of it could be asked.
            Err(Error::NotAdded { .. }) => true,
            Err(Error::Join(source)) => {
                let removed = source.to_string().contains("was removed");
                removed && self.id(i).is_some_and(|id| self.invariants.members.may_be_removed(id))
            }
            _ => false,
        }
    }
}
