//! Alarm: raises an alarm of a member or takes it back; and what the active ones refuse.
//!
//! A member raises what it can see for itself (no space) and takes that back when the reason is gone. What a client raised
//! stays until a client takes it back.

use keelson_proto::keelson::store::v1::command::Command;
use keelson_proto::keelson::store::v1::refusal::Reason;
use keelson_proto::keelson::store::v1::{Alarm, AlarmChange, ClusterState};

use super::context::Context;
use super::{ClusterAnswer, validate};
use crate::state::cluster::Alarms;

/// Why the active alarms do not allow `command`.
pub(super) fn refuses(alarms: Alarms, command: &Command) -> Option<Reason> {
    if alarms == Alarms::default() {
        return None;
    }
    let adds = match command {
        Command::Put(_) | Command::LeaseGrant(_) => true,
        Command::Txn(request) => validate::txn_may_put(request),
        Command::DeleteRange(_) | Command::Compact(_) | Command::LeaseRevoke(_) => false,
        // The store's own, and what ends the alarm.
        Command::LeaseExpire(_)
        | Command::LeaseCheckpoint(_)
        | Command::Alarm(_)
        | Command::Auth(_)
        | Command::Downgrade(_)
        | Command::MembersFound(_)
        | Command::MemberPublish(_)
        | Command::MemberAdd(_)
        | Command::MemberRemove(_)
        | Command::MemberUpdate(_)
        | Command::MemberPromote(_) => return None,
    };
    if alarms.corrupt {
        return Some(Reason::Corrupt);
    }
    (alarms.no_space && adds).then_some(Reason::NoSpace)
}

pub(super) fn apply(context: &mut Context<'_>, request: &AlarmChange) -> ClusterAnswer {
    let mut after = context.cluster().clone();
    change(&mut after, request);
    if after == *context.cluster() {
        return Ok(context.cluster_unchanged());
    }
    Ok(context.change_cluster(|cluster| *cluster = after))
}

fn change(cluster: &mut ClusterState, request: &AlarmChange) {
    let AlarmChange { active, member_id, alarm, automatic } = *request;
    if !active {
        cluster.alarms.retain(|found| {
            let meant = found.alarm == alarm && (member_id == 0 || found.member_id == member_id);
            !meant || (automatic && !found.automatic)
        });
        return;
    }
    // A member that was removed a moment ago may not know it, and would never take its alarm back.
    let is_member = cluster.members.is_empty() || cluster.members.iter().any(|member| member.id == member_id);
    if automatic && !is_member {
        return;
    }
    let known = cluster.alarms.iter_mut().find(|found| found.alarm == alarm && found.member_id == member_id);
    match known {
        Some(found) => found.automatic &= automatic,
        None => cluster.alarms.push(Alarm { member_id, alarm, automatic }),
    }
}

#[cfg(test)]
mod tests {
    use keelson_proto::etcdserverpb::{
        CompactionRequest, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, request_op::Request,
    };

    use super::*;

    const NO_SPACE: i32 = 1;

    fn raise(member_id: u64, automatic: bool) -> AlarmChange {
        AlarmChange { active: true, member_id, alarm: NO_SPACE, automatic }
    }

    fn take_back(member_id: u64, automatic: bool) -> AlarmChange {
        AlarmChange { active: false, ..raise(member_id, automatic) }
    }

    #[test]
    fn a_member_takes_back_only_what_it_raised_itself() {
        let mut cluster = ClusterState::default();
        change(&mut cluster, &raise(1, true));
        change(&mut cluster, &raise(1, true));
        change(&mut cluster, &raise(2, false));
        assert_eq!(cluster.alarms.len(), 2);
        change(&mut cluster, &take_back(2, true));
        change(&mut cluster, &take_back(1, true));
        assert_eq!(cluster.alarms, [Alarm { member_id: 2, alarm: NO_SPACE, automatic: false }]);
        change(&mut cluster, &raise(3, false));
        change(&mut cluster, &take_back(0, false));
        assert!(cluster.alarms.is_empty());
    }

    #[test]
    fn who_is_no_member_any_more_raises_nothing_by_itself() {
        let member = keelson_proto::keelson::store::v1::MemberRecord { id: 1, ..Default::default() };
        let mut cluster = ClusterState { members: vec![member], ..ClusterState::default() };
        change(&mut cluster, &raise(2, true));
        assert!(cluster.alarms.is_empty());
        change(&mut cluster, &raise(1, true));
        assert_eq!(cluster.alarms.len(), 1);
    }

    #[test]
    fn an_alarm_that_a_client_raised_too_is_the_clients() {
        let mut cluster = ClusterState::default();
        change(&mut cluster, &raise(1, true));
        change(&mut cluster, &raise(1, false));
        change(&mut cluster, &take_back(1, true));
        assert_eq!(cluster.alarms.len(), 1);
    }

    #[test]
    fn without_space_only_what_adds_is_refused() {
        let no_space = Alarms { no_space: true, corrupt: false };
        let corrupt = Alarms { no_space: true, corrupt: true };
        let txn = |request| {
            let nested = TxnRequest { failure: vec![RequestOp { request: Some(request) }], ..TxnRequest::default() };
            let nested = RequestOp { request: Some(Request::RequestTxn(nested)) };
            Command::Txn(TxnRequest { success: vec![nested], ..TxnRequest::default() })
        };
        let adding = [
            Command::Put(PutRequest::default()),
            Command::LeaseGrant(Default::default()),
            txn(Request::RequestPut(PutRequest::default())),
        ];
        for command in adding {
            assert_eq!(refuses(Alarms::default(), &command), None);
            assert_eq!(refuses(no_space, &command), Some(Reason::NoSpace));
            assert_eq!(refuses(corrupt, &command), Some(Reason::Corrupt));
        }
        let others = [
            Command::DeleteRange(DeleteRangeRequest::default()),
            Command::Compact(CompactionRequest::default()),
            Command::LeaseRevoke(Default::default()),
            txn(Request::RequestDeleteRange(DeleteRangeRequest::default())),
        ];
        for command in others {
            assert_eq!(refuses(no_space, &command), None);
            assert_eq!(refuses(corrupt, &command), Some(Reason::Corrupt));
        }
        assert_eq!(refuses(corrupt, &Command::Alarm(raise(1, false))), None);
    }
}
