//! Applies the commands of log entries: decides what each changes and answers, and gathers the changes in one batch.
//!
//! Synchronous and deterministic: every member that applies the same entries ends with the same content and the same
//! replies. A failed precondition is a reply; an error means that the disk failed, the data is damaged, or the entry was
//! written by a newer version.

mod alarm;
mod auth;
mod compact;
mod compare;
mod context;
mod delete_range;
mod downgrade;
mod lease_checkpoint;
mod lease_expire;
mod lease_grant;
mod lease_revoke;
mod member_add;
mod member_promote;
mod member_publish;
mod member_remove;
mod member_update;
mod members_found;
mod put;
pub(crate) mod quorum;
pub(crate) mod read_txn;
mod txn;
pub mod validate;

use std::sync::Arc;

use keelson_proto::keelson::store::v1::{ClusterChanged, Command, Refusal, Reply, command, refusal, reply};

use crate::metrics::StateFigures;
use crate::state::generation::{Effects, Generation};
use crate::state::{Applied, Entry, Error, Payload};
use crate::watch::hub::Revision;
use context::Context;

/// What applying entries came to.
pub(crate) struct Outcome {
    /// One list an entry, one reply a command.
    pub replies: Vec<Vec<Reply>>,
    pub effects: Effects,
    /// The events of each new revision, oldest first.
    pub revisions: Vec<Arc<Revision>>,
    /// The newest revision.
    pub revision: i64,
    /// The space of what is compacted there is to be given back at once.
    pub reclaim: Option<i64>,
}

/// What a command that changes the state of the cluster comes to.
type ClusterAnswer = Result<ClusterChanged, refusal::Reason>;

/// A value, or the reason for refusing the command. The outer error stops the member.
type Checked<T> = Result<Result<T, refusal::Reason>, Error>;

/// Applies `entries` on top of what `generation` holds, without writing anything yet. `applied` is the position after
/// them; a membership entry changes it. `prev_kv` asks for the replaced pair in each event.
pub(crate) fn entries(
    generation: &Generation,
    figures: &StateFigures,
    prev_kv: bool,
    entries: Vec<Entry>,
    applied: &mut Applied,
) -> Result<Outcome, Error> {
    let mut context = Context::new(generation, prev_kv)?;
    let mut replies = Vec::with_capacity(entries.len());
    let mut membership_changed = false;
    let mut last = generation.applied().index;
    for entry in entries {
        if entry.index != last + 1 {
            return Err(Error::OutOfOrder { index: entry.index, applied: last });
        }
        last = entry.index;
        context.term = entry.term;
        replies.push(match entry.payload {
            Payload::Blank => Vec::new(),
            Payload::Membership(membership) => {
                applied.membership = membership;
                membership_changed = true;
                Vec::new()
            }
            // Meant for another leader, who was asked in vain: whoever proposed it may have done so again.
            Payload::Batch(batch) if batch.term != 0 && batch.term != entry.term => Vec::new(),
            Payload::Batch(batch) => batch
                .commands
                .into_iter()
                .map(|command| measured(&mut context, figures, entry.index, command))
                .collect::<Result<_, _>>()?,
        });
    }
    Ok(context.finish(replies, membership_changed))
}

/// Applies one command, and measures how long that takes; nothing that it does depends on it.
fn measured(context: &mut Context<'_>, figures: &StateFigures, index: u64, command: Command) -> Result<Reply, Error> {
    let applying = command.command.as_ref().map(|command| figures.applying(command));
    let reply = one(context, index, command)?;
    if let Some(applying) = applying {
        figures.one_applied(&applying, !matches!(reply.reply, Some(reply::Reply::Refusal(_))));
    }
    Ok(reply)
}

/// Applies one command, which becomes at most one revision (a lease's expiry: one for each lease).
fn one(context: &mut Context<'_>, index: u64, command: Command) -> Result<Reply, Error> {
    use command::Command as C;
    use reply::Reply as R;

    if command.fence_term != 0 && command.fence_term != context.term {
        return Ok(refuse(context, refusal::Reason::Fenced));
    }
    if let Err(reason) = auth::check(context, &command)? {
        return Ok(refuse(context, reason));
    }
    let command = command.command.ok_or(Error::UnknownCommand { index })?;
    if let Some(reason) = alarm::refuses(context.alarms(), &command) {
        return Ok(refuse(context, reason));
    }
    let answer = match command {
        C::Put(request) => put::apply(context, request)?.map(R::Put),
        C::DeleteRange(request) => delete_range::apply(context, &request)?.map(R::DeleteRange),
        C::Txn(request) => txn::apply(context, request)?.map(R::Txn),
        C::Compact(request) => compact::apply(context, &request)?.map(R::Compact),
        C::LeaseGrant(request) => lease_grant::apply(context, &request)?.map(R::LeaseGrant),
        C::LeaseRevoke(request) => lease_revoke::apply(context, &request)?.map(R::LeaseRevoke),
        C::LeaseExpire(request) => lease_expire::apply(context, &request)?.map(R::LeaseExpired),
        C::Auth(request) => auth::apply(context, index, request)?.map(R::AuthChanged),
        C::LeaseCheckpoint(request) => lease_checkpoint::apply(context, &request)?.map(R::LeaseCheckpointed),
        C::Alarm(request) => alarm::apply(context, &request).map(R::ClusterChanged),
        C::Downgrade(request) => downgrade::apply(context, request).map(R::ClusterChanged),
        C::MembersFound(request) => members_found::apply(context, request).map(R::ClusterChanged),
        C::MemberPublish(request) => member_publish::apply(context, request).map(R::ClusterChanged),
        C::MemberAdd(request) => member_add::apply(context, request).map(R::ClusterChanged),
        C::MemberRemove(request) => member_remove::apply(context, &request).map(R::ClusterChanged),
        C::MemberUpdate(request) => member_update::apply(context, request).map(R::ClusterChanged),
        C::MemberPromote(request) => member_promote::apply(context, &request).map(R::ClusterChanged),
    };
    Ok(match answer {
        Ok(answer) => Reply { reply: Some(answer) },
        Err(reason) => refuse(context, reason),
    })
}

fn refuse(context: &Context<'_>, reason: refusal::Reason) -> Reply {
    let refusal = Refusal { reason: reason.into(), revision: context.revision(), raft_term: context.term };
    Reply { reply: Some(reply::Reply::Refusal(refusal)) }
}
