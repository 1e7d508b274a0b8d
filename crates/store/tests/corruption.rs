//! A member whose data are not the others', though every file of it is as it was written.

mod common;

use std::time::Duration;

use common::{Cluster, chain, eventually};
use keelson_proto::etcdserverpb::{AlarmType, CompactionRequest, PutRequest, RangeRequest};
use keelson_proto::keelson::store::v1::Alarm;
use keelson_store::Error;
use rocksdb::{DB, Direction, IteratorMode};

const KEY: &str = "changed by nobody";
const OFTEN: Duration = Duration::from_millis(100);

fn put(cluster: &Cluster, member: usize, key: &str) -> Result<(), Error> {
    let request = PutRequest { key: key.to_owned().into(), value: vec![7; 64].into(), ..PutRequest::default() };
    cluster.on(member, cluster.handle(member).put(request)).map(drop)
}

/// A follower that was stopped, and in whose state a bit of one value is another since.
fn damage(cluster: &mut Cluster) -> usize {
    let leader = cluster.leader();
    for i in 0..50 {
        eventually("a put", || put(cluster, leader, &format!("key-{i}")).ok());
    }
    eventually("a put", || put(cluster, leader, KEY).ok());
    let member = cluster.follower();
    let read = RangeRequest { key: KEY.into(), ..RangeRequest::default() };
    let handle = cluster.handle(member);
    eventually("the follower's copy", || Some(cluster.on(member, handle.range(read.clone())).ok()?.count == 1));
    drop(handle);
    cluster.stop(member);

    let folder = cluster.data_dir(member).join("state");
    let current = std::fs::read_to_string(folder.join("CURRENT")).expect("the pointer to the state");
    let path = folder.join(current.trim());
    let options = rocksdb::Options::default();
    let families = DB::list_cf(&options, &path).expect("the column families");
    let state = eventually("the state", || DB::open_cf(&options, &path, &families).ok());
    let data = state.cf_handle("data").expect("the versions of keys");
    let versions = [KEY.as_bytes(), b"\0\x01"].concat();
    let mut rows = state.iterator_cf(data, IteratorMode::From(&versions, Direction::Forward));
    let (row, mut value) = rows.next().expect("a row").expect("a row that can be read");
    assert!(row.starts_with(&versions), "the version that was put");
    *value.last_mut().expect("a value") ^= 1;
    drop(rows);
    state.put_cf(data, row, value).expect("writes");
    state.flush_cf(data).expect("flushes");
    member
}

fn alarm_of(cluster: &Cluster, member: usize) -> Alarm {
    Alarm { member_id: cluster.handle(member).member_id(), alarm: AlarmType::Corrupt.into(), automatic: true }
}

/// Waits until all members know of alarms, and gives them.
fn alarms(cluster: &Cluster) -> Vec<Alarm> {
    let known =
        |member: usize| Some(cluster.handle(member).cluster().alarms.clone()).filter(|alarms| !alarms.is_empty());
    let mut all: Vec<_> =
        cluster.running().into_iter().map(|member| eventually("an alarm", || known(member))).collect();
    all.dedup();
    assert_eq!(all.len(), 1, "the members know different alarms: {all:?}");
    all.remove(0)
}

#[test]
fn a_member_that_differs_gets_the_alarm_that_stops_writes() {
    let mut cluster = Cluster::start_with(3, |options| options.corruption.interval = OFTEN);
    let damaged = damage(&mut cluster);
    assert!(cluster.handle(cluster.leader()).cluster().alarms.is_empty(), "nobody is blamed for being away");
    cluster.start_member(damaged);
    assert_eq!(alarms(&cluster), [alarm_of(&cluster, damaged)]);
    for member in 0..3 {
        assert!(matches!(put(&cluster, member, "more"), Err(Error::Corrupt)), "member {member} takes writes");
    }
    // Who takes the alarm back without mending the member hears of it again.
    let leader = cluster.leader();
    let cleared = cluster.on(leader, cluster.handle(leader).clear_alarm(0, AlarmType::Corrupt));
    assert!(cleared.expect("the alarm is taken back").is_empty());
    assert_eq!(alarms(&cluster), [alarm_of(&cluster, damaged)]);
}

#[test]
fn a_leader_that_differs_is_named_after_a_compaction() {
    let mut cluster = Cluster::start_with(3, |options| {
        options.corruption.after_compactions = true;
        options.corruption.compaction_interval = OFTEN;
    });
    let damaged = damage(&mut cluster);
    cluster.start_member(damaged);
    let handle = cluster.handle(damaged);
    eventually("the damaged member's leadership", || {
        let asked = cluster.on(damaged, handle.move_leader(Some(handle.member_id())));
        (asked.is_ok() && handle.leadership().borrow().leading).then_some(())
    });
    eventually("an alarm after a compaction", || {
        // Once more, since who does not answer in time is compared after the next one.
        drop(put(&cluster, damaged, "more"));
        let request = CompactionRequest { revision: handle.revision(), ..CompactionRequest::default() };
        drop(cluster.on(damaged, handle.compact(request)));
        (!handle.cluster().alarms.is_empty()).then_some(())
    });
    assert_eq!(alarms(&cluster), [alarm_of(&cluster, damaged)]);
    assert!(matches!(put(&cluster, damaged, "more"), Err(Error::Corrupt)));
}

#[test]
fn a_member_whose_data_are_not_the_others_does_not_start() {
    let mut cluster = Cluster::start_with(3, |options| options.corruption.at_start = true);
    let damaged = damage(&mut cluster);
    // Its peers may be too busy to answer at once; then it starts.
    let refused = eventually("a refusal", || match cluster.try_start(damaged) {
        Ok(running) => {
            drop(running);
            None
        }
        Err(error) => Some(chain(&error)).filter(|error| error.contains("are not those of 2 other members")),
    });
    assert!(refused.contains("Move the data folder away"), "{refused}");

    // What is sound starts with the same option, and one other member cannot outvote anybody.
    let other = cluster.follower();
    cluster.stop(other);
    cluster.start_member(other);
    eventually("a put", || put(&cluster, other, "more").ok());
    cluster.stop(other);
    cluster.start_member(damaged);
}
