//! Alarms, downgrades and figures of the whole: what is replicated beside keys and leases.

use std::sync::Arc;

use keelson_proto::etcdserverpb::AlarmType;
use keelson_proto::keelson::store::v1::{Alarm, AlarmChange, ClusterState, Command, DowngradeChange, command, reply};

use super::{Handle, NO_FENCE, read};
use crate::Error;
use crate::member::Member;
use crate::state::cluster::Alarms;

/// Proposes a change of the state of the cluster, and waits for it.
///
/// # Errors
/// The refusal, and those of every write.
pub(crate) async fn change(member: &Member, command: command::Command) -> Result<ClusterState, Error> {
    let command = Command { fence_term: NO_FENCE, command: Some(command), ..Command::default() };
    match member.proposer.propose(command, member.deadline()).await?.reply {
        Some(reply::Reply::ClusterChanged(changed)) => Ok(changed.cluster.unwrap_or_default()),
        Some(reply::Reply::Refusal(refusal)) => Err(refusal.into()),
        _ => Err(Error::Internal("the reply is not of a change of the cluster".to_owned())),
    }
}

impl Handle {
    /// The members and alarms that this member knows of.
    pub fn cluster(&self) -> Arc<ClusterState> {
        self.member.reader.cluster()
    }

    /// Raises an alarm in the name of a member, as a client may; gives all alarms after it.
    ///
    /// # Errors
    /// Those of every write, but neither `NoSpace` nor `Corrupt`.
    pub async fn raise_alarm(&self, member_id: u64, alarm: AlarmType) -> Result<Vec<Alarm>, Error> {
        let change = AlarmChange { active: true, member_id, alarm: alarm.into(), automatic: false };
        Ok(self::change(&self.member, command::Command::Alarm(change)).await?.alarms)
    }

    /// Takes an alarm back, whoever raised it; `member_id` 0 means every member's. A member that still has no space raises it
    /// again within a second. Gives all alarms after it.
    ///
    /// # Errors
    /// As for [`Handle::raise_alarm`].
    pub async fn clear_alarm(&self, member_id: u64, alarm: AlarmType) -> Result<Vec<Alarm>, Error> {
        let change = AlarmChange { active: false, member_id, alarm: alarm.into(), automatic: false };
        Ok(self::change(&self.member, command::Command::Alarm(change)).await?.alarms)
    }

    /// Notes that a downgrade to `target`, as "major.minor", is wanted.
    ///
    /// # Errors
    /// `DowngradeInProgress`, and those of every write.
    pub async fn begin_downgrade(&self, target: &str) -> Result<(), Error> {
        let change = DowngradeChange { target_version: target.to_owned() };
        self::change(&self.member, command::Command::Downgrade(change)).await.map(|_| ())
    }

    /// Notes that no downgrade is wanted any longer.
    ///
    /// # Errors
    /// `NoDowngrade`, and those of every write.
    pub async fn cancel_downgrade(&self) -> Result<(), Error> {
        let change = DowngradeChange { target_version: String::new() };
        self::change(&self.member, command::Command::Downgrade(change)).await.map(|_| ())
    }

    /// The checksum of everything that this member stores, and the revision it was at. Members differ in what they have not
    /// dropped yet.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn hash(&self) -> Result<(u32, i64), Error> {
        let reader = self.member.reader.clone();
        let _measured = self.member.metrics.hash_seconds.start_timer();
        read::blocking(move || Ok(reader.hash_all()?)).await
    }

    /// Which alarms are active, whoever raised them.
    pub(crate) fn alarms(&self) -> Alarms {
        self.member.reader.alarms()
    }

    /// The quota in bytes; 0 means none.
    pub fn quota_bytes(&self) -> u64 {
        self.member.options.quota_bytes
    }
}
