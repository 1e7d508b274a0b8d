//! Backups: taken from a live member, verified, refused when damaged, and made into new clusters that can grow.

mod common;

use std::path::{Path, PathBuf};

use common::{Cluster, chain, eventually};
use keelson_proto::etcdserverpb::{LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest};
use keelson_store::{Error, Handle, backup};
use sha2::{Digest as _, Sha256};

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

async fn value(handle: &Handle, key: &str, revision: i64) -> Result<String, Error> {
    let request = RangeRequest { key: key.to_owned().into(), revision, ..RangeRequest::default() };
    let response = handle.range(request).await?;
    Ok(response.kvs.first().map(|pair| String::from_utf8_lossy(&pair.value).into_owned()).unwrap_or_default())
}

/// Some content: 200 keys, of which one has two versions and one a lease.
fn fill(cluster: &Cluster) -> i64 {
    let handle = cluster.handle(0);
    cluster.on(0, async {
        handle.lease_grant(LeaseGrantRequest { ttl: 600, id: 77 }).await.expect("granted");
        handle.put(PutRequest { lease: 77, ..put("leased", "1") }).await.expect("put");
        for i in 0..198 {
            handle.put(put(&format!("key-{i}"), &i.to_string())).await.expect("put");
        }
        handle.put(put("twice", "first")).await.expect("put");
        handle.put(put("twice", "second")).await.expect("put");
        handle.revision()
    })
}

/// Saves a backup of a member into a file, as a client would.
fn save(cluster: &Cluster, member: usize, path: &Path) -> backup::Fetched {
    let endpoint = format!("https://{}", cluster.store_address(member));
    let mut last = (0, u64::MAX);
    let progress = |done: u64, remaining: u64| {
        assert!(done > last.0 && remaining <= last.1, "{done} {remaining}");
        last = (done, remaining);
    };
    let fetch = backup::fetch(&endpoint, Some(cluster.tls(member)), path, progress);
    let fetched = cluster.on(member, fetch).expect("it is saved");
    assert_eq!(last, (fetched.bytes, 0));
    fetched
}

fn restore(cluster: &mut Cluster, member: usize, file: &Path) -> backup::Restore {
    let options = cluster.options(member);
    backup::Restore {
        file: file.to_owned(),
        data_dir: options.data_dir.clone(),
        name: options.name.clone(),
        cluster_token: options.cluster_token.clone(),
        peers: options.peers.clone(),
        bump_revision: 0,
        mark_compacted: false,
    }
}

#[test]
fn a_backup_becomes_a_cluster_of_three_that_can_grow_and_lose_a_folder() {
    let old = Cluster::start(1);
    let revision = fill(&old);
    let file: PathBuf = old.folder().join("backup.snap");
    let fetched = save(&old, 0, &file);
    assert_eq!(fetched.revision, revision);
    let hash = old.on(0, old.handle(0).hash_kv(revision)).expect("hashes").hash;
    let summary = backup::status(&file, old.folder()).expect("it is whole");
    assert_eq!((summary.revision, summary.keys, summary.hash), (revision, 200, hash));
    assert_eq!(summary.bytes, fetched.bytes);
    // etcdctl knows by this that a checksum follows.
    assert_eq!(summary.bytes % 512, 32);

    let mut new = Cluster::stopped_with(3, |options| options.log_entries_to_keep = 1_000_000);
    for member in 0..3 {
        let restored = backup::restore(&restore(&mut new, member, &file)).expect("it is restored");
        assert_eq!((restored.revision, restored.keys), (revision, 200));
        new.start_member(member);
    }
    let leader = new.leader();
    let handle = new.handle(leader);
    assert_ne!(handle.cluster_id(), old.handle(0).cluster_id());
    new.on(leader, async {
        assert_eq!(value(&handle, "key-7", 0).await.expect("reads"), "7");
        assert_eq!(value(&handle, "twice", revision - 1).await.expect("history is there"), "first");
        let lease = handle.lease_time_to_live(LeaseTimeToLiveRequest { id: 77, keys: true }).await.expect("a lease");
        assert_eq!((lease.granted_ttl, lease.keys.len()), (600, 1));
        assert_eq!(handle.put(put("new", "1")).await.expect("put").header.expect("a header").revision, revision + 1);
    });
    // Whoever comes later has no backup, and gets what was in it nevertheless: by adding, and after losing its folder.
    let place = new.prepare_joiner();
    let url = new.peer_url(place);
    // Not before all are heard of, which may take a moment.
    eventually("it is added", || match new.on(leader, handle.member_add(vec![url.clone()], false)) {
        Ok(_) => Some(()),
        Err(Error::NotEnoughStarted | Error::NoLeader | Error::Unhealthy) => None,
        Err(error) => panic!("it is refused: {error}"),
    });
    new.start_member(place);
    let joined = new.handle(place);
    eventually("it has everything", || (joined.revision() > revision).then_some(()));
    let now = handle.revision();
    let expected = new.on(leader, handle.hash_kv(now)).expect("hashes").hash;
    eventually("it follows", || (joined.revision() >= now).then_some(()));
    assert_eq!(new.on(place, joined.hash_kv(now)).expect("hashes").hash, expected);

    // With an empty folder and the options of a founder, one would found another cluster.
    let lost = (0..3).find(|member| *member != leader).expect("a follower");
    new.stop(lost);
    new.wipe(lost);
    new.start_member(lost);
    let why = new.ended(lost);
    assert!(why.contains("of another cluster") && why.contains("--initial-cluster-state existing"), "{why}");
    // Restored again, it has an early state and nothing of what it voted for since: it takes part once it has caught up.
    new.wipe(lost);
    backup::restore(&restore(&mut new, lost, &file)).expect("it is restored again");
    new.start_member(lost);
    let back = new.handle(lost);
    eventually("it is back", || (back.revision() >= now).then_some(()));
    assert_eq!(new.on(lost, back.hash_kv(now)).expect("hashes").hash, expected);
}

#[test]
fn a_revision_can_be_raised_and_history_be_forgotten() {
    let old = Cluster::start(1);
    let revision = fill(&old);
    let file = old.folder().join("backup.snap");
    save(&old, 0, &file);
    let mut new = Cluster::stopped(1);
    let options = backup::Restore { bump_revision: 1_000_000, mark_compacted: true, ..restore(&mut new, 0, &file) };
    let restored = backup::restore(&options).expect("it is restored");
    assert_eq!((restored.revision, restored.compacted_revision), (revision + 1_000_000, revision + 1_000_000));
    new.start_member(0);
    new.leader();
    let handle = new.handle(0);
    new.on(0, async {
        assert_eq!(value(&handle, "twice", 0).await.expect("reads"), "second");
        let before = value(&handle, "twice", revision).await;
        assert!(matches!(before, Err(Error::Compacted { .. })), "{before:?}");
        let next = handle.put(put("new", "1")).await.expect("put").header.expect("a header").revision;
        assert_eq!(next, revision + 1_000_001);
    });
}

#[test]
fn a_backup_that_is_not_whole_is_refused_and_nothing_is_written() {
    let old = Cluster::start(1);
    fill(&old);
    let file = old.folder().join("backup.snap");
    save(&old, 0, &file);
    let good = std::fs::read(&file).expect("reads");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut newer = good.clone();
    newer[11] = 9;
    let end = newer.len() - 32;
    let digest = Sha256::digest(&newer[..end]);
    newer[end..].copy_from_slice(&digest);
    let mut new = Cluster::stopped(1);
    let options = restore(&mut new, 0, &old.folder().join("wrong.snap"));
    for (bytes, expected) in [
        (good[..good.len() - 1000].to_vec(), "it was cut short, or something was appended"),
        ([&good[..], b"more"].concat(), "it was cut short, or something was appended"),
        (flipped, "is damaged"),
        (newer, "use a newer version"),
        (b"something else".to_vec(), "is not a backup of a Keelson store"),
        (Vec::new(), "is not a backup of a Keelson store"),
    ] {
        std::fs::write(&options.file, bytes).expect("writes");
        let refused = chain(&backup::restore(&options).expect_err("it is refused"));
        assert!(refused.contains(expected), "{refused}");
        let refused = chain(&backup::status(&options.file, old.folder()).expect_err("it is refused"));
        assert!(refused.contains(expected), "{refused}");
        assert!(!options.data_dir.exists());
        let beside: Vec<_> =
            std::fs::read_dir(new.folder()).expect("lists").map(|entry| entry.expect("lists").file_name()).collect();
        assert_eq!(beside, ["pki"], "something was left behind");
    }
    std::fs::write(&options.file, &good).expect("writes");
    std::fs::create_dir_all(options.data_dir.join("something")).expect("makes");
    let refused = chain(&backup::restore(&options).expect_err("it is refused"));
    assert!(refused.contains("restore into a new one"), "{refused}");
}
