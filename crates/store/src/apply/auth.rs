//! Auth: refuses commands of clients that must not take effect, and applies changes of who may do what.
//!
//! What a request demands was checked by the member that serves it; here it is checked that nothing has changed since, and
//! what depends on the state: whether a user may touch a lease is decided by the keys attached to it.

use keelson_proto::keelson::store::v1::auth_command::Command as C;
use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{AuthChanged, AuthCommand, Command, command};

use super::Checked;
use super::context::Context;
use crate::auth::{Access, TokenHash, leases_of};
use crate::state::Error;

/// Whether a client's command may take effect.
pub(super) fn check(context: &Context<'_>, command: &Command) -> Checked<()> {
    if command.auth_epoch == 0 || !context.auth.enabled() {
        return Ok(Ok(()));
    }
    if command.auth_epoch != context.auth.epoch() {
        return Ok(Err(Reason::AuthOldRevision));
    }
    if command.auth_user.is_empty() {
        return Ok(Ok(()));
    }
    let mut leases = Vec::new();
    match &command.command {
        Some(command::Command::Put(put)) => leases.push(put.lease),
        Some(command::Command::Txn(txn)) => leases_of(txn, &mut leases),
        Some(command::Command::LeaseRevoke(revoke)) => leases.push(revoke.id),
        _ => {}
    }
    // Who is no user, but has a certificate, may still end a lease without keys, as in etcd.
    let permissions = context.auth.permissions(&command.auth_user).unwrap_or_default();
    leases.sort_unstable();
    leases.dedup();
    for lease in leases.into_iter().filter(|lease| *lease != 0) {
        // Who could not end the lease must not tie further keys to it. A lookup for each range that is denied finds that out,
        // however many keys the lease has.
        for (from, to) in permissions.denied(Access::Write) {
            if context.has_lease_key(lease, from, to)? {
                return Ok(Err(Reason::AuthPermissionDenied));
            }
        }
    }
    Ok(Ok(()))
}

/// Applies a change. `index` is the entry's place in the log.
pub(super) fn apply(context: &mut Context<'_>, index: u64, request: AuthCommand) -> Checked<AuthChanged> {
    let command = request.command.ok_or(Error::UnknownCommand { index })?;
    let changed = context.change_auth(|table| match command {
        C::Enable(_) => table.enable(),
        C::Disable(_) => table.disable(),
        C::UserAdd(user) => table.add_user(&user.name, user.password_hash, user.no_password),
        C::UserChangePassword(user) => table.change_password(&user.name, user.password_hash),
        C::UserDelete(user) => table.delete_user(&user.name),
        C::UserGrantRole(grant) => table.grant_role(&grant.user, &grant.role),
        C::UserRevokeRole(revoke) => table.revoke_role(&revoke.name, &revoke.role),
        C::RoleAdd(role) => table.add_role(&role.name),
        C::RoleDelete(role) => table.delete_role(&role.role),
        C::RoleGrantPermission(grant) => table.grant_permission(&grant.name, grant.perm),
        C::RoleRevokePermission(revoke) => table.revoke_permission(&revoke.role, &revoke.key, &revoke.range_end),
        C::TokenAssign(assign) => match hash(&assign.token_hash) {
            Some(hash) => table.assign(&assign.user, &assign.password_hash, hash, index),
            None => Err(Reason::AuthInvalidManagement),
        },
        C::TokensRenew(renew) => Ok(table.renew(&hashes(&renew.token_hashes), index)),
        C::TokensExpire(expire) => Ok(table.expire(&hashes(&expire.token_hashes))),
    });
    Ok(changed.map(|()| AuthChanged { header: context.header() }))
}

fn hash(bytes: &[u8]) -> Option<TokenHash> {
    bytes.try_into().ok()
}

fn hashes(all: &[bytes::Bytes]) -> Vec<TokenHash> {
    all.iter().filter_map(|bytes| hash(bytes)).collect()
}
