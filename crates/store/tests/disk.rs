//! A disk that misbehaves: a sync that does not end, and files that are not what was written.

mod common;

use std::path::{Path, PathBuf};

use common::{Cluster, chain, eventually};
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use keelson_store::Handle;

fn put(cluster: &Cluster, member: usize, key: &str) {
    let handle = cluster.handle(member);
    let request = || PutRequest { key: key.to_owned().into(), value: vec![7; 4096].into(), ..PutRequest::default() };
    eventually("a put", || cluster.on(member, handle.put(request())).ok());
}

fn holds(cluster: &Cluster, member: usize, key: &str) -> bool {
    let request = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let answer = cluster.on(member, cluster.handle(member).range(request));
    answer.is_ok_and(|answer| answer.count == 1)
}

#[test]
fn a_leader_whose_disk_stalls_hands_over_and_follows_once_it_works_again() {
    let mut cluster = Cluster::stopped(3);
    let stalls: Vec<_> = (0..3)
        .map(|member| {
            // Options are cloned with their stall, so each member needs its own.
            cluster.options(member).stall = keelson_store::options::Stall::default();
            cluster.options(member).sync_stall_limit = std::time::Duration::from_millis(300);
            cluster.options(member).stall.clone()
        })
        .collect();
    for member in 0..3 {
        cluster.start_member(member);
    }
    let leader = cluster.leader();
    let term = |member: usize| cluster.handle(member).leadership().borrow().term;
    let led_in = term(leader);
    put(&cluster, leader, "before");
    stalls[leader].hold();
    // Something for the disk to do.
    let handle = cluster.handle(leader);
    let write = async move { drop(handle.put(PutRequest { key: "x".into(), ..PutRequest::default() }).await) };
    let writing = cluster.spawn(leader, write);
    let others: Vec<usize> = (0..3).filter(|member| *member != leader).collect();
    let leads = |member: &usize| cluster.handle(*member).leadership().borrow().leading;
    let successor = eventually("another leader", || others.iter().copied().find(leads));
    put(&cluster, successor, "during");
    assert!(holds(&cluster, successor, "before") && holds(&cluster, successor, "during"));
    stalls[leader].release();
    eventually("the former leader", || holds(&cluster, leader, "during").then_some(()));
    // Who leads now depends on the real disk, too.
    assert!(term(leader) > led_in);
    writing.abort();
}

/// Each change of a file that a member must notice.
type Damage = fn(&Path);

fn flip_middle(file: &Path) {
    let mut content = std::fs::read(file).expect("the file is there");
    // What is made in advance is zeros, and holds nothing.
    let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    content[written / 2] ^= 0x55;
    std::fs::write(file, content).expect("writes");
}

fn flip_first(file: &Path) {
    let mut content = std::fs::read(file).expect("the file is there");
    content[0] ^= 0x55;
    std::fs::write(file, content).expect("writes");
}

fn cut(file: &Path) {
    let content = std::fs::read(file).expect("the file is there");
    std::fs::write(file, &content[..content.len() / 2]).expect("writes");
}

fn rename_state(file: &Path) {
    std::fs::write(file, "state-7\n").expect("writes");
}

/// The largest file of a folder whose name begins and ends so.
fn find(folder: &Path, prefix: &str, suffix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(prefix) && name.ends_with(suffix)
    });
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    files.max_by_key(size).unwrap_or_else(|| panic!("no {prefix}…{suffix} in {}", folder.display()))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes a folder");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() { copy(&path, &target) } else { assert!(std::fs::copy(&path, &target).is_ok(), "copies") }
    }
}

#[test]
fn a_damaged_file_is_named_at_the_start_and_never_served() {
    let mut cluster = Cluster::start_with(1, |options| {
        options.snapshot_every_entries = 20;
        options.log_entries_to_keep = 1;
    });
    for i in 0..100 {
        put(&cluster, 0, &format!("key-{i}"));
    }
    let handle: Handle = cluster.handle(0);
    assert!(handle.revision() > 100);
    drop(handle);
    cluster.stop(0);
    // The state's memtable has become a sorted file; what follows is in the log alone.
    cluster.start_member(0);
    for i in 0..20 {
        put(&cluster, 0, &format!("more-{i}"));
    }
    cluster.stop(0);

    let folder = cluster.data_dir(0);
    let sound = cluster.folder().join("sound");
    copy(&folder, &sound);
    let (log, state) = (folder.join("log"), folder.join("state"));
    let kinds: Vec<(&str, PathBuf, Damage)> = vec![
        ("the log's segment", find(&log, "0", ".segment"), flip_first),
        ("the log's segment", find(&log, "0", ".segment"), flip_middle),
        ("the log's identity", log.join("identity"), flip_first),
        ("the log's identity", log.join("identity"), cut),
        ("the state's table", find(&state.join("state-1"), "0", ".sst"), flip_first),
        ("the state's table", find(&state.join("state-1"), "0", ".sst"), flip_middle),
        ("the state's table", find(&state.join("state-1"), "0", ".sst"), cut),
        ("the state's manifest", find(&state.join("state-1"), "MANIFEST", ""), flip_middle),
        ("the state's pointer", state.join("state-1").join("CURRENT"), cut),
        ("the pointer to the state", state.join("CURRENT"), flip_first),
        ("the pointer to the state", state.join("CURRENT"), rename_state),
    ];
    let mut faults = Vec::new();
    for (what, file, damage) in kinds {
        damage(&file);
        match cluster.try_start(0) {
            Ok(_) => faults.push(format!("{what}: the member starts with {} damaged", file.display())),
            Err(error) => {
                let error = chain(&error);
                let named = file.strip_prefix(&folder).expect("it is there").display().to_string();
                if !error.contains(&named) || !error.contains("Move the data folder away") {
                    faults.push(format!("{what}: {named} is not named in: {error}"));
                }
            }
        }
        std::fs::remove_dir_all(&folder).expect("removes");
        copy(&sound, &folder);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    cluster.start_member(0);
    assert!(holds(&cluster, 0, "key-7") && holds(&cluster, 0, "more-7"));
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    // A file may go in between.
    entries.map(|entry| entry.expect("an entry").metadata().map_or(0, |metadata| metadata.len())).sum()
}

/// However many entries are to be kept, what they take is bounded, while all members are there and while one is not.
#[test]
fn the_log_is_bounded_in_bytes_and_who_missed_more_catches_up() {
    const KEPT: u64 = 128 << 10;
    let mut cluster = Cluster::start_with(3, |options| {
        options.log_bytes_to_keep = KEPT;
        options.log_segment_bytes = 32 << 10;
        options.log_entries_to_keep = 1_000_000;
        options.snapshot_every_entries = 1_000_000;
    });
    let leader = cluster.leader();
    let missing = (leader + 1) % 3;
    cluster.stop(missing);
    let handle = cluster.handle(leader);
    for i in 0..64 {
        let value = vec![7; 64 << 10];
        let request =
            || PutRequest { key: format!("key-{i}").into(), value: value.clone().into(), ..PutRequest::default() };
        eventually("a put", || cluster.on(leader, handle.put(request())).ok());
    }
    // Twice as much before it is cut, a segment that is not whole, and one that is made in advance, of half a MiB.
    let bound = 2 * KEPT + (32 << 10) + (1 << 20);
    assert!(bound < (64 * (64 << 10)) / 2);
    for member in [leader, 3 - leader - missing] {
        eventually("the log is cut", || {
            // Files go some at a time, after something was written.
            put(&cluster, leader, "more");
            (folder_bytes(&cluster.data_dir(member).join("log")) <= bound).then_some(())
        });
    }
    cluster.start_member(missing);
    let all =
        RangeRequest { key: "key-".into(), range_end: "key.".into(), count_only: true, ..RangeRequest::default() };
    eventually("who missed it has it all", || {
        let answer = cluster.on(missing, cluster.handle(missing).range(all.clone())).ok()?;
        (answer.count == 64).then_some(())
    });
}
