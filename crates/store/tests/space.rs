//! A store without space: full disks and the quota, on any member, and how it ends by itself.

mod common;

use common::{Cluster, eventually};
use keelson_proto::etcdserverpb::{AlarmType, CompactionRequest, DeleteRangeRequest, PutRequest};
use keelson_store::{Error, Handle};

/// Small enough to be filled soon, and above what an empty state has in memory.
const QUOTA_BYTES: u64 = 24 << 20;
const VALUE_BYTES: usize = 256 << 10;

/// Text that no compression makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

fn put(key: &str, value: Vec<u8>) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.into(), ..PutRequest::default() }
}

fn alarms(handle: &Handle) -> Vec<(u64, i32)> {
    handle.cluster().alarms.iter().map(|alarm| (alarm.member_id, alarm.alarm)).collect()
}

#[test]
fn a_follower_whose_disk_is_full_stops_new_data_everywhere_until_it_has_room() {
    let mut cluster = Cluster::start(3);
    let full = cluster.follower();
    let id = cluster.handle(full).member_id();
    cluster.on(0, cluster.handle(0).put(put("kept", b"1".to_vec()))).expect("there is room");
    cluster.stop(full);
    // No disk has so much free: what the member sees is a disk that has become full.
    cluster.options(full).min_free_disk_bytes = u64::MAX;
    cluster.start_member(full);
    for member in cluster.running() {
        let handle = cluster.handle(member);
        eventually("the alarm is known", || (alarms(&handle) == [(id, i32::from(AlarmType::Nospace))]).then_some(()));
        let refused = cluster.on(member, handle.put(put("new", b"1".to_vec())));
        assert!(matches!(refused, Err(Error::NoSpace)), "{refused:?}");
        let delete = DeleteRangeRequest { key: format!("none-{member}").into(), ..DeleteRangeRequest::default() };
        cluster.on(member, handle.delete_range(delete)).expect("deletions go on");
    }
    cluster.stop(full);
    cluster.options(full).min_free_disk_bytes = 0;
    cluster.start_member(full);
    let other = cluster.running().into_iter().find(|member| *member != full).expect("another member");
    let handle = cluster.handle(other);
    eventually("the alarm is off", || alarms(&handle).is_empty().then_some(()));
    eventually("new data is taken", || cluster.on(other, handle.put(put("new", b"1".to_vec()))).ok());
}

#[test]
fn a_quota_counts_live_bytes_and_its_alarm_ends_by_itself() {
    let cluster = Cluster::start_with(1, |options| options.quota_bytes = QUOTA_BYTES);
    let handle = cluster.handle(0);
    let value = noise(VALUE_BYTES);
    // The same key again and again: it is history that fills the quota, as in etcd.
    let fill = || {
        let filled = (0..2000).find_map(|_| cluster.on(0, handle.put(put("key", value.clone()))).err());
        assert!(matches!(filled, Some(Error::NoSpace)), "{filled:?}");
    };
    for round in 0..2 {
        fill();
        eventually("the alarm is raised", || (!alarms(&handle).is_empty()).then_some(()));
        assert!(handle.status().database_bytes_in_use > i64::try_from(QUOTA_BYTES).expect("small"), "round {round}");
        let revision = handle.revision();
        cluster.on(0, handle.compact(CompactionRequest { revision, physical: false })).expect("compactions go on");
        eventually("the alarm is off", || alarms(&handle).is_empty().then_some(()));
        eventually("new data is taken", || cluster.on(0, handle.put(put("small", b"1".to_vec()))).ok());
    }
}
