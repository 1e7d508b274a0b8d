//! Imports: etcd 3.4, etcd 3.5 and this store's own content becomes a cluster with the same keys, revisions and leases.

mod common;
#[path = "etcd_v3/etcd_process.rs"]
mod etcd_process;
#[path = "etcd_v3/eventually.rs"]
mod eventually;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, eventually, ports};
use etcd_process::{Etcd, V34, V35};
use futures::FutureExt as _;
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::lease_client::LeaseClient;
use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest, AuthUserGrantRoleRequest, CompactionRequest,
    DeleteRangeRequest, LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest,
    RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use keelson_proto::mvccpb::KeyValue;
use keelson_proto::mvccpb::event::EventType;
use keelson_store::import::{self, Imported, Step};
use keelson_store::watch::{self, Item};
use keelson_store::{Error, Handle, backup};
use tonic::transport::Channel;

const LEASE: i64 = 0x1234_5678_9abc;
const LEASE_TTL_SECONDS: i64 = 5000;
const DELETED_LAST: &str = "many/0002";

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() }
}

fn everything(revision: i64) -> RangeRequest {
    RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..RangeRequest::default() }
}

/// Keys of all kinds: rewritten, deleted, deleted and made again, of one revision, binary, empty, with leases. Gives the
/// newest revision.
async fn fill(channel: Channel) -> i64 {
    let (mut kv, mut lease) = (KvClient::new(channel.clone()), LeaseClient::new(channel));
    for id in [LEASE, LEASE + 1] {
        lease.lease_grant(LeaseGrantRequest { id, ttl: LEASE_TTL_SECONDS }).await.expect("granted");
    }
    for i in 0..300 {
        kv.put(put(format!("many/{i:04}"), vec![b'v'; i])).await.expect("put");
        if i % 3 == 0 {
            kv.put(put(format!("many/{i:04}"), "rewritten")).await.expect("put");
        }
        if i % 5 == 0 {
            let key = format!("many/{i:04}").into();
            kv.delete_range(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }).await.expect("deleted");
        }
        if i % 10 == 0 {
            kv.put(put(format!("many/{i:04}"), "again")).await.expect("put");
        }
    }
    for key in [&b"\0"[..], b"\0\0", b"binary\0\xff\x01", b"binary\0", b"\xff\xff", b"empty"] {
        kv.put(put(Bytes::from_static(key), "")).await.expect("put");
    }
    for i in 0..3 {
        kv.put(PutRequest { lease: LEASE, ..put(format!("leased/{i}"), "1") }).await.expect("put");
    }
    // The last revision has several changes, and deletes.
    let mut success =
        ["one", "two", "three"].map(|key| RequestOp { request: Some(Op::RequestPut(put(key, "at once"))) }).to_vec();
    let delete = DeleteRangeRequest { key: DELETED_LAST.into(), ..DeleteRangeRequest::default() };
    success.push(RequestOp { request: Some(Op::RequestDeleteRange(delete)) });
    let txn = TxnRequest { success, ..TxnRequest::default() };
    kv.txn(txn).await.expect("done").into_inner().header.expect("a header").revision
}

async fn all(channel: Channel, revision: i64) -> RangeResponse {
    KvClient::new(channel).range(everything(revision)).await.expect("a range").into_inner()
}

/// Small pages, each of which is kept at once.
fn options(file: &Path, endpoints: &[String]) -> import::Options {
    let mut options = import::Options::new(file, endpoints.to_vec());
    (options.page_bytes, options.flush_bytes) = (4096, 1);
    options.patience = common::PATIENCE;
    options
}

/// A cluster of which each member was restored from `file`.
fn restored(file: &Path, members: usize) -> Cluster {
    let mut cluster = Cluster::stopped(members);
    for member in 0..members {
        let options = cluster.options(member).clone();
        let restore = backup::Restore {
            file: file.to_owned(),
            data_dir: options.data_dir,
            name: options.name,
            cluster_token: options.cluster_token,
            peers: options.peers,
            bump_revision: 0,
            mark_compacted: false,
        };
        backup::restore(&restore).expect("it is restored");
        cluster.start_member(member);
    }
    cluster.leader();
    cluster
}

async fn now(handle: &Handle) -> Vec<KeyValue> {
    handle.range(everything(0)).await.expect("a range").kvs
}

/// What must hold in a cluster made of what `fill` left at `revision`.
async fn check(handle: &Handle, expected: &[KeyValue], revision: i64) {
    let found = handle.range(everything(0)).await.expect("a range");
    assert_eq!(found.header.expect("a header").revision, revision);
    assert_eq!(found.kvs.len(), expected.len());
    for (found, expected) in found.kvs.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    let older = handle.range(everything(revision - 1)).await;
    assert!(matches!(older, Err(Error::Compacted { .. })), "{older:?}");

    let lease = handle.lease_time_to_live(LeaseTimeToLiveRequest { id: LEASE, keys: true }).await.expect("a lease");
    assert_eq!((lease.granted_ttl, lease.keys.len()), (LEASE_TTL_SECONDS, 3));
    assert!(lease.ttl <= LEASE_TTL_SECONDS && lease.ttl > LEASE_TTL_SECONDS - 300, "{lease:?}");
    let leases = handle.lease_leases(LeaseLeasesRequest {}).await.expect("leases").leases;
    assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [LEASE, LEASE + 1]);

    let watch = |start_revision| {
        handle.watch(watch::Options {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision,
            prev_kv: true,
            no_put: false,
            no_delete: false,
            max_buffered_bytes: 1 << 20,
        })
    };
    let next = async |mut watcher: watch::Watcher| {
        tokio::time::timeout(common::PATIENCE, watcher.next()).await.expect("in time").expect("it goes on")
    };
    let compacted = next(watch(revision - 1)).await;
    assert!(matches!(compacted, Item::Compacted { compact_revision } if compact_revision == revision), "{compacted:?}");
    let Item::Events { revision: first, events } = next(watch(revision)).await else { panic!("no events") };
    let changes: Vec<_> = events.iter().map(|event| (event.r#type(), event.kv.clone().expect("a pair").key)).collect();
    let put_last = ["one", "three", "two"].map(|key| (EventType::Put, Bytes::from(key)));
    let mut expected_changes = vec![(EventType::Delete, Bytes::from(DELETED_LAST))];
    expected_changes.extend(put_last);
    assert_eq!((first, changes), (revision, expected_changes));

    // Versions and revisions count on.
    let response = handle.put(put("many/0003", "new")).await.expect("put");
    assert_eq!(response.header.expect("a header").revision, revision + 1);
    let old = expected.iter().find(|pair| pair.key == "many/0003").expect("it is there");
    let range = RangeRequest { key: "many/0003".into(), ..RangeRequest::default() };
    let new = handle.range(range).await.expect("a range").kvs.remove(0);
    assert_eq!((new.create_revision, new.version), (old.create_revision, old.version + 1));
    let Item::Events { events, .. } = next(watch(revision + 1)).await else { panic!("no events") };
    assert_eq!(events[0].prev_kv.as_ref(), Some(old));
    // A lease takes its keys along.
    handle.lease_revoke(LeaseRevokeRequest { id: LEASE }).await.expect("revoked");
    let left = now(handle).await;
    assert_eq!(left.len(), expected.len() - 3);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("etcd.snap");
    (folder, file)
}

fn text(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", text(source)))
}

fn url(etcd: &Etcd) -> String {
    format!("http://{}", etcd.address)
}

#[test]
fn what_etcd_holds_becomes_a_cluster_with_its_revisions_and_leases() {
    for version in [V34, V35] {
        let runtime = runtime();
        let (folder, file) = folder();
        let (expected, revision, imported) = runtime.block_on(async {
            let [etcd] = Etcd::start(version).await;
            let revision = fill(etcd.channel()).await;
            let expected = all(etcd.channel(), 0).await.kvs;
            let mut steps = Vec::new();
            // One of them does not answer.
            let endpoints = ["http://127.0.0.1:1".to_owned(), url(&etcd)];
            let imported = import::run(&options(&file, &endpoints), |step| steps.push(step)).await.expect("imported");
            assert!(steps.len() > 5 && steps.is_sorted_by_key(|step| step.keys), "{steps:?}");
            assert_eq!((steps[0].keys, steps[0].revision), (0, revision));
            let again = import::run(&options(&file, &endpoints), |_| {}).await.expect_err("it is there already");
            assert!(again.to_string().contains("is there already"), "{again}");
            (expected, revision, imported)
        });
        let Imported { summary, leases, ended_leases } = imported;
        assert_eq!((summary.revision, summary.compacted_revision), (revision, revision));
        assert_eq!((summary.keys, leases, ended_leases), (expected.len() as u64, 2, 0));
        assert_eq!(backup::status(&file, folder.path()).expect("it is whole"), summary);
        let beside = std::fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(beside, 1, "nothing but the file is left");

        let cluster = restored(&file, 3);
        let asked = cluster.follower();
        cluster.on(asked, check(&cluster.handle(asked), &expected, revision));
        let last = cluster.handle(asked).revision();
        let hash = |member: usize| {
            let handle = cluster.handle(member);
            eventually("it follows", || (handle.revision() >= last).then_some(()));
            cluster.on(member, handle.hash_kv(last)).expect("hashes").hash
        };
        assert_eq!(hash(0), hash(1));
        assert_eq!(hash(0), hash(2));
    }
}

/// Imports until there are `keys`, and then ends as a crash would: by a panic out of the step, so that not a page more is received.
async fn interrupted(options: &import::Options, keys: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let progress = |step: Step| {
        steps.push(step);
        if step.keys >= keys {
            resume_unwind(Box::new("enough"));
        }
    };
    let ended = AssertUnwindSafe(import::run(options, progress)).catch_unwind().await;
    assert!(ended.is_err(), "it did not come to {keys} keys: {ended:?}");
    steps
}

#[test]
fn an_interrupted_import_goes_on_at_its_revision_whatever_was_written_meanwhile() {
    let runtime = runtime();
    let (_folder, file) = folder();
    let (expected, revision) = runtime.block_on(async {
        let [etcd] = Etcd::start(V35).await;
        let mut kv = KvClient::new(etcd.channel());
        let mut lease = LeaseClient::new(etcd.channel());
        lease.lease_grant(LeaseGrantRequest { id: 99, ttl: LEASE_TTL_SECONDS }).await.expect("granted");
        kv.put(PutRequest { lease: 99, ..put("ends", "1") }).await.expect("put");
        let revision = fill(etcd.channel()).await;
        let expected = all(etcd.channel(), 0).await.kvs;
        let options = options(&file, &[url(&etcd)]);
        let mut reached = 0;
        for keys in [1, 60, 150] {
            let steps = interrupted(&options, keys).await;
            assert!(steps[0].keys >= reached && steps[0].revision == revision, "{steps:?}");
            assert!(keys == 1 || steps[0].keys > 0, "it began anew");
            reached = steps.last().expect("a step").keys;
            // Both what was received and what was not.
            kv.put(put("many/0001", "later")).await.expect("put");
            kv.put(put("two", "later")).await.expect("put");
            let request = DeleteRangeRequest { key: "three".into(), ..DeleteRangeRequest::default() };
            kv.delete_range(request).await.expect("deleted");
        }
        lease.lease_revoke(LeaseRevokeRequest { id: 99 }).await.expect("revoked");
        let mut first = None;
        let run = import::run(&options, |step| {
            first.get_or_insert(step.keys);
        });
        let imported = run.await.expect("imported");
        assert!(first >= Some(reached), "{first:?} {reached}");
        assert_eq!((imported.summary.revision, imported.leases, imported.ended_leases), (revision, 2, 1));
        (expected, revision)
    });
    // As the source did, the store ends the lease that ended since.
    let cluster = restored(&file, 1);
    let handle = cluster.handle(0);
    eventually("the lease ends", || cluster.on(0, now(&handle)).iter().all(|pair| pair.key != "ends").then_some(()));
    let left: Vec<KeyValue> = expected.into_iter().filter(|pair| pair.key != "ends").collect();
    assert_eq!(cluster.on(0, now(&handle)), left);
    assert_eq!(handle.revision(), revision + 1);
}

#[test]
fn a_source_that_compacts_or_is_another_one_is_told_with_what_to_do() {
    let runtime = runtime();
    let (_folder, file) = folder();
    runtime.block_on(async {
        let [etcd] = Etcd::start(V34).await;
        let revision = fill(etcd.channel()).await;
        let options = options(&file, &[url(&etcd)]);
        interrupted(&options, 1).await;
        // Another cluster answers under the address.
        let [other] = Etcd::start(V35).await;
        let elsewhere = import::Options { endpoints: vec![url(&other)], ..options.clone() };
        let refused = import::run(&elsewhere, |_| {}).await.expect_err("it is another cluster").to_string();
        assert!(refused.contains("was begun from cluster") && refused.contains("remove it"), "{refused}");

        let mut kv = KvClient::new(etcd.channel());
        kv.put(put("later", "1")).await.expect("put");
        let compaction = CompactionRequest { revision: revision + 1, physical: true };
        kv.compact(compaction).await.expect("compacted");
        let refused = import::run(&options, |_| {}).await.expect_err("the revision is gone").to_string();
        let partial = file.with_file_name("etcd.snap.part");
        assert!(refused.contains(&format!("has compacted revision {revision}")), "{refused}");
        assert!(refused.contains(&format!("remove {}", partial.display())), "{refused}");
        assert!(!file.exists());
        // Doing so helps.
        std::fs::remove_dir_all(&partial).expect("removes");
        let imported = import::run(&options, |_| {}).await.expect("imported");
        assert_eq!(imported.summary.revision, revision + 1);
    });
}

#[test]
fn users_log_in_and_others_are_refused() {
    let runtime = runtime();
    let (_folder, file) = folder();
    runtime.block_on(async {
        let [etcd] = Etcd::start(V35).await;
        fill(etcd.channel()).await;
        let keys = all(etcd.channel(), 0).await.count;
        let mut auth = AuthClient::new(etcd.channel());
        for name in ["root", "other"] {
            let user = AuthUserAddRequest { name: name.to_owned(), password: "pw".to_owned(), ..Default::default() };
            auth.user_add(user).await.expect("a user");
        }
        auth.role_add(AuthRoleAddRequest { name: "root".to_owned() }).await.expect("a role");
        let role = AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
        auth.user_grant_role(role).await.expect("a role");
        auth.auth_enable(AuthEnableRequest {}).await.expect("it is on");

        let as_user = |user: Option<(&str, &str)>| import::Options {
            user: user.map(|(name, password)| (name.to_owned(), password.to_owned())),
            ..options(&file, &[url(&etcd)])
        };
        for (user, expected) in [
            (None, "user name is empty"),
            (Some(("root", "wrong")), "invalid user ID or password"),
            (Some(("other", "pw")), "permission denied"),
        ] {
            let refused = import::run(&as_user(user), |_| {}).await.expect_err("it is refused").to_string();
            assert!(refused.contains(expected) && refused.contains(&url(&etcd)), "{refused}");
        }
        let imported = import::run(&as_user(Some(("root", "pw"))), |_| {}).await.expect("imported");
        assert_eq!((imported.summary.keys, imported.leases), (u64::try_from(keys).expect("a count"), 2));
    });
    // Nobody must log in to the new cluster: users are not imported.
    let cluster = restored(&file, 1);
    assert!(!cluster.on(0, now(&cluster.handle(0))).is_empty());
}

#[test]
fn a_store_of_this_kind_is_imported_over_tls_and_has_the_same_hash() {
    let source = Cluster::start(3);
    let (_folder, file) = folder();
    let tls = source.tls(0).clone();
    let endpoints: Vec<String> = (0..3).map(|member| format!("https://{}", source.store_address(member))).collect();
    let options = import::Options {
        ca: Some(tls.ca.clone()),
        certificate: Some((tls.certificate.clone(), tls.key.clone())),
        ..options(&file, &endpoints)
    };
    let (revision, expected) = source.on(0, async {
        let identity = tonic::transport::Identity::from_pem(
            std::fs::read(&tls.certificate).expect("the file"),
            std::fs::read(&tls.key).expect("the file"),
        );
        let ca = tonic::transport::Certificate::from_pem(std::fs::read(&tls.ca).expect("the file"));
        let config = tonic::transport::ClientTlsConfig::new().ca_certificate(ca).identity(identity);
        let endpoint = Channel::from_shared(endpoints[0].clone()).expect("a URL").tls_config(config).expect("TLS");
        let revision = fill(endpoint.connect().await.expect("it listens")).await;
        (revision, now(&source.handle(0)).await)
    });
    let without = import::Options { certificate: None, patience: Duration::ZERO, ..options.clone() };
    let refused = source.on(0, import::run(&without, |_| {})).expect_err("it has no certificate");
    assert!(text(&refused).contains("no endpoint answers"), "{refused}");
    let imported = source.on(0, import::run(&options, |_| {})).expect("imported");
    let hash = source.on(0, source.handle(0).hash_kv(revision)).expect("hashes").hash;
    assert_eq!((imported.summary.hash, imported.summary.revision), (hash, revision));
    let cluster = restored(&file, 1);
    cluster.on(0, check(&cluster.handle(0), &expected, revision));
}

#[test]
fn an_empty_source_and_values_of_any_size_are_imported() {
    let runtime = runtime();
    let (folder, file) = folder();
    runtime.block_on(async {
        let [etcd] = Etcd::start(V34).await;
        let imported = import::run(&options(&file, &[url(&etcd)]), |_| {}).await.expect("imported");
        assert_eq!((imported.summary.revision, imported.summary.keys, imported.leases), (1, 0, 0));
        let mut kv = KvClient::new(etcd.channel());
        // The first page would be larger than what is received at one time.
        for i in 0..60 {
            kv.put(put(format!("large/{i}"), vec![b'x'; 1_400_000])).await.expect("put");
            kv.put(put(format!("small/{i}"), "x")).await.expect("put");
        }
        let second = import::Options::new(folder.path().join("second.snap"), vec![url(&etcd)]);
        let imported = import::run(&second, |_| {}).await.expect("imported");
        assert_eq!((imported.summary.revision, imported.summary.keys), (121, 120));
        // The last revision has deletions alone, and then nothing at all.
        let (key, range_end) = (Bytes::from("\0"), Bytes::from("\0"));
        kv.delete_range(DeleteRangeRequest { key, range_end, prev_kv: false }).await.expect("deleted");
        for name in ["deleted.snap", "compacted.snap"] {
            let third = import::Options::new(folder.path().join(name), vec![url(&etcd)]);
            let imported = import::run(&third, |_| {}).await.expect("imported");
            assert_eq!((imported.summary.revision, imported.summary.keys), (122, 0));
            kv.compact(CompactionRequest { revision: 122, physical: true }).await.ok();
        }
    });
    let cluster = restored(&file, 1);
    let handle = cluster.handle(0);
    let first = cluster.on(0, handle.put(put("first", "1"))).expect("put");
    assert_eq!(first.header.expect("a header").revision, 2);
}
