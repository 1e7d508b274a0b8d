//! A store without space: full disks and the quota, on any member, and how it ends by itself.

mod common;

use common::{Cluster, eventually};
use keelson_proto::etcdserverpb::{AlarmType, CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest};
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

/// Past a leader that changes, as it may at any time on a busy machine.
fn refuses_new_data(cluster: &Cluster, member: usize) {
    let handle = cluster.handle(member);
    let refused = eventually("an answer", || match cluster.on(member, handle.put(put("new", b"1".to_vec()))) {
        Err(Error::NoLeader | Error::Unknown) => None,
        answer => Some(answer),
    });
    assert!(matches!(refused, Err(Error::NoSpace)), "{refused:?}");
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
        refuses_new_data(&cluster, member);
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

/// Bytes of history that memory and files hold until somebody throws them out.
const HISTORY_BYTES: i64 = 24 << 20;

#[test]
fn a_physical_compaction_is_answered_when_the_space_is_given_back_and_all_members_do_so() {
    let cluster = Cluster::start(3);
    let in_use = |member: usize| cluster.handle(member).status().database_bytes_in_use;
    let value = noise(VALUE_BYTES);
    let puts = usize::try_from(HISTORY_BYTES).expect("small") / VALUE_BYTES;
    let handle = cluster.handle(cluster.leader());
    for number in 0..puts {
        // Half of it is of one key, and half of keys that are gone: versions and deletions.
        let key = if number % 2 == 0 { "kept".to_owned() } else { format!("gone-{number}") };
        cluster.on(0, handle.put(put(&key, value.clone()))).expect("a put");
    }
    let gone = DeleteRangeRequest { key: "gone".into(), range_end: "gonf".into(), ..DeleteRangeRequest::default() };
    let deleted = cluster.on(0, handle.delete_range(gone)).expect("a deletion");
    assert_eq!(deleted.deleted, i64::try_from(puts / 2).expect("few"));
    // The newest revision is kept by a compaction, its deletions, too.
    cluster.on(0, handle.put(put("kept", value.clone()))).expect("a put");
    let revision = handle.revision();
    for member in cluster.running() {
        eventually("all is applied", || (cluster.handle(member).revision() >= revision).then_some(()));
        assert!(in_use(member) > HISTORY_BYTES, "member {member} uses {}", in_use(member));
    }
    let asked = cluster.follower();
    let handle = cluster.handle(asked);
    // Nobody writes: nothing but the compaction itself makes files smaller.
    cluster.on(asked, handle.compact(CompactionRequest { revision, physical: true })).expect("a compaction");
    assert!(in_use(asked) < HISTORY_BYTES / 4, "the member that was asked still uses {}", in_use(asked));
    for member in cluster.running() {
        eventually("all members give it back", || (in_use(member) < HISTORY_BYTES / 4).then_some(()));
    }
    let kept = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let kept = cluster.on(asked, handle.range(kept)).expect("a range");
    assert_eq!(kept.kvs.iter().map(|pair| pair.key.clone()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(kept.kvs[0].value, value);
}

#[test]
fn a_quota_counts_live_bytes_and_its_alarm_ends_by_itself() {
    let cluster = Cluster::start_with(1, |options| options.quota_bytes = QUOTA_BYTES);
    let handle = cluster.handle(0);
    let value = noise(VALUE_BYTES);
    // The same key again and again: it is history that fills the quota, as in etcd.
    let fill = || {
        let is_full = |put: Result<_, Error>| matches!(put, Err(Error::NoSpace));
        assert!((0..2000).any(|_| is_full(cluster.on(0, handle.put(put("key", value.clone()))))), "it is never full");
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
