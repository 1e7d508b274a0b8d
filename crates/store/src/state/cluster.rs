//! What is replicated beside keys and leases: who the members are, and what is wrong.
//!
//! ```text
//! meta "cluster"   an encoded `keelson.store.v1.ClusterState`; absent while it is empty
//! ```
//!
//! It is small and rarely changes, so it is one value, and kept decoded in memory.

use bytes::Bytes;
use keelson_proto::etcdserverpb::AlarmType;
use keelson_proto::keelson::store::v1::ClusterState;
use prost::Message as _;
use rocksdb::WriteBatch;

use super::Error;
use super::columns::Columns;

const CLUSTER: &[u8] = b"cluster";

/// Which alarms are active, whoever raised them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// No new data is taken.
    pub no_space: bool,
    /// Members differ.
    pub corrupt: bool,
}

impl Alarms {
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.no_space) | u8::from(self.corrupt) << 1
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self { no_space: bits & 1 != 0, corrupt: bits & 2 != 0 }
    }
}

/// What the alarms of `cluster` come to.
pub(crate) fn alarms(cluster: &ClusterState) -> Alarms {
    let active = |kind: AlarmType| cluster.alarms.iter().any(|alarm| alarm.alarm == i32::from(kind));
    Alarms { no_space: active(AlarmType::Nospace), corrupt: active(AlarmType::Corrupt) }
}

pub(super) fn load(columns: &Columns<'_>) -> Result<ClusterState, Error> {
    let stored = columns.db.get_cf(columns.meta, CLUSTER).map_err(Error::rocks("reading the members"))?;
    let Some(stored) = stored else { return Ok(ClusterState::default()) };
    ClusterState::decode(Bytes::from(stored)).map_err(|_| Error::Corrupt { what: "the state of the cluster" })
}

pub(super) fn put(columns: &Columns<'_>, batch: &mut WriteBatch, cluster: &ClusterState) {
    batch.put_cf(columns.meta, CLUSTER, cluster.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use keelson_proto::keelson::store::v1::{Alarm, MemberRecord};

    use super::*;

    /// Stored states must be readable for ever.
    #[test]
    fn the_layout_is_pinned() {
        let cluster = ClusterState {
            alarms: vec![Alarm { member_id: 7, alarm: 1, automatic: true }],
            downgrade: None,
            members: vec![MemberRecord {
                id: 7,
                name: "m1".to_owned(),
                peer_urls: vec!["p".to_owned()],
                client_urls: vec!["c".to_owned()],
                learner: true,
                moved: false,
            }],
            removed_ids: vec![9],
            removed: vec![MemberRecord { id: 9, ..MemberRecord::default() }],
        };
        let bytes = b"\x0a\x06\x08\x07\x10\x01\x18\x01\x1a\x0e\x08\x07\x12\x02m1\x1a\x01p\x22\x01c\x28\x01\x22\x01\x09\
            \x2a\x02\x08\x09";
        assert_eq!(cluster.encode_to_vec(), bytes);
        assert_eq!(ClusterState::decode(&bytes[..]).expect("decodes"), cluster);
    }

    #[test]
    fn alarms_survive_being_bits() {
        for (no_space, corrupt) in [(false, false), (true, false), (false, true), (true, true)] {
            let alarms = Alarms { no_space, corrupt };
            assert_eq!(Alarms::from_bits(alarms.bits()), alarms);
        }
    }
}
