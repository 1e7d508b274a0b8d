//! Who is asking: the name and groups of a client certificate of our CA. Nobody is anonymous.

use std::sync::Arc;

use keelson_types::status::Status;

use super::Pipeline;
use super::request::{Identity, Peer, User};

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
