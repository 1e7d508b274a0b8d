//! What a client's command shows for itself in the log.

use std::sync::Arc;

use keelson_proto::keelson::store::v1::{Command, command};

use super::leases_of;

/// That a request was checked, and against what. The default is that of commands that no client sent, which nothing is
/// asked of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass {
    pub(crate) epoch: u64,
    /// None for who may do everything.
    pub(crate) user: Option<Arc<str>>,
}

impl Pass {
    /// A command with what apply has to know of the check.
    pub(crate) fn stamp(&self, fence_term: u64, command: command::Command) -> Command {
        let auth_user = match &self.user {
            Some(user) if names_a_lease(&command) => user.to_string(),
            _ => String::new(),
        };
        Command { fence_term, auth_epoch: self.epoch, auth_user, command: Some(command) }
    }
}

fn names_a_lease(command: &command::Command) -> bool {
    match command {
        command::Command::Put(put) => put.lease != 0,
        command::Command::Txn(txn) => {
            let mut leases = Vec::new();
            leases_of(txn, &mut leases);
            !leases.is_empty()
        }
        command::Command::LeaseRevoke(_) => true,
        _ => false,
    }
}
