//! Who is asking: the name and groups of a client certificate of our CA. Nobody is anonymous.

use std::sync::Arc;

use keelson_types::status::Status;

use super::Pipeline;
use super::request::{Identity, Peer, User};
use crate::rbac::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};

impl Pipeline {
    /// The user behind a connection.
    ///
    /// # Errors
    /// Unauthorized, with Kubernetes' one word: a caller without a certificate of ours learns nothing else.
    pub fn authenticate(&self, peer: &Peer) -> Result<Arc<User>, Status> {
        match &peer.identity {
            Identity::Verified(user) => Ok(user.clone()),
            Identity::Missing => Err(Status::unauthorized()),
            Identity::Unverified(why) => {
                tracing::debug!(address = %peer.address, why, "a client certificate was refused");
                Err(Status::unauthorized())
            }
        }
    }
}

impl User {
    /// Somebody who is known by name, or the one whose name says that nobody knows them: in the group of all who are alike in
    /// that. What a question names is no such user; its groups are those that it lists.
    pub fn known(name: impl Into<String>, mut groups: Vec<String>) -> User {
        let name = name.into();
        let all = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
            groups.push(all.to_owned());
        }
        User { name, groups }
    }
}
