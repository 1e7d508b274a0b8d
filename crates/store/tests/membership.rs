//! Members come and go while clients write: growing, replacing, promoting, removing, moving.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use common::{Cluster, eventually};
use futures::StreamExt as _;
use keelson_proto::etcdserverpb::cluster_client::ClusterClient;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::lease_client::LeaseClient;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    AlarmRequest, LeaseLeasesRequest, MemberListRequest, PutRequest, RangeRequest, SnapshotRequest, StatusRequest,
    WatchCreateRequest, WatchRequest,
};
use keelson_store::{Error, Handle};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

/// Puts until it is accepted: an outcome may be unknown while leaders change.
async fn put_for_sure(handle: &Handle, key: &str, text: &str) {
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        match handle.put(put(key, text)).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "the put is not accepted: {error}"),
        }
    }
}

/// Writes through one member until it is told to stop; every write that was acknowledged must be there at the end.
struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(handle: Handle) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                while !stop.load(Ordering::Relaxed) {
                    let next = written.load(Ordering::Relaxed);
                    runtime.block_on(put_for_sure(&handle, &format!("written/{next:08}"), "1"));
                    written.store(next + 1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, written, thread: Some(thread) }
    }

    /// Waits until so many more were written: the cluster works.
    fn goes_on(&self) {
        let before = self.written.load(Ordering::Relaxed);
        eventually("writes go on", || (self.written.load(Ordering::Relaxed) > before + 5).then_some(()));
    }

    /// Ends it; gives how many were acknowledged.
    fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("every write was accepted in the end");
        self.written.load(Ordering::Relaxed)
    }
}

/// Adds a member, as learner or voter, and starts it; gives its place and id.
fn add(cluster: &mut Cluster, learner: bool) -> (usize, u64) {
    let place = cluster.prepare_joiner();
    let url = cluster.peer_url(place);
    let asked = cluster.running()[0];
    let (id, members) = eventually("it is added", || {
        match cluster.on(asked, cluster.handle(asked).member_add(vec![url.clone()], learner)) {
            Ok(added) => Some(added),
            Err(Error::NotEnoughStarted | Error::Unknown | Error::NoLeader) => None,
            Err(error) => panic!("it is refused: {error}"),
        }
    });
    assert!(members.iter().any(|member| member.id == id && member.learner == learner && member.name.is_empty()));
    cluster.start_member(place);
    assert_eq!(cluster.handle(place).member_id(), id);
    (place, id)
}

/// An answer other than that too few members answered in time, which is all that may be wrong on a busy machine.
fn unless_busy<T>(mut ask: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    eventually("an answer", || match ask() {
        Err(Error::NoLeader | Error::Unhealthy) => None,
        answer => Some(answer),
    })
}

/// Waits until `asked` counts exactly these as voters, by what consensus says.
fn await_voters(cluster: &Cluster, asked: usize, expected: usize) {
    eventually("consensus follows", || {
        let statuses = cluster.on(asked, cluster.handle(asked).member_statuses());
        let voters = statuses.iter().filter(|status| status.voter).count();
        (voters == expected && statuses.len() == expected).then_some(())
    });
}

/// Every running member has the same content, and all that was acknowledged.
fn check_content(cluster: &Cluster, written: u64) {
    let running = cluster.running();
    let revision = cluster.on(running[0], cluster.handle(running[0]).read_barrier()).expect("reads");
    let mut hashes = Vec::new();
    for member in running {
        let handle = cluster.handle(member);
        cluster.on(member, handle.read_barrier()).expect("reads");
        hashes.push(cluster.on(member, handle.hash_kv(revision)).expect("hashes").hash);
        let request = RangeRequest {
            key: "written/".into(),
            range_end: "written0".into(),
            count_only: true,
            ..RangeRequest::default()
        };
        let found = cluster.on(member, handle.range(request)).expect("reads").count;
        assert_eq!(u64::try_from(found).expect("a count"), written, "on member {member}");
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[test]
fn a_cluster_grows_from_one_to_five_under_writes() {
    let mut cluster = Cluster::start_with(1, |options| {
        // Those who join are sent the state, as the log of long ago is gone.
        options.snapshot_every_entries = 20;
        options.log_entries_to_keep = 5;
    });
    let writer = Writer::start(cluster.handle(0));
    for size in 2..=5 {
        writer.goes_on();
        let (place, _) = add(&mut cluster, false);
        await_voters(&cluster, place, size);
    }
    writer.goes_on();
    // Votes count: with two of five gone, the rest goes on.
    let written = writer.end();
    check_content(&cluster, written);
    let leader = cluster.leader();
    cluster.kill(leader);
    let follower = cluster.follower();
    cluster.kill(follower);
    let left = cluster.running()[0];
    cluster.on(left, put_for_sure(&cluster.handle(left), "after", "1"));
}

/// What is replicated is applied again from the log when the state was not flushed before the power failed. Until a leader is
/// elected nobody knows what of it is committed, and nobody is elected unless the members find each other.
#[test]
fn members_find_those_again_of_whom_only_the_log_knows() {
    let mut cluster = Cluster::start(1);
    let (first, _) = add(&mut cluster, false);
    await_voters(&cluster, 0, 2);
    let (second, _) = add(&mut cluster, false);
    // What a member does not have in its log, it cannot find there.
    for member in [0, first, second] {
        await_voters(&cluster, member, 3);
        // And while the voters before count, too, the one that stays away below has to vote.
        eventually("one set of voters", || cluster.handle(member).status().settled.then_some(()));
    }
    for member in [0, first, second] {
        cluster.kill(member);
        std::fs::remove_dir_all(cluster.data_dir(member).join("state")).expect("removes");
    }
    // The ids of these two follow from no name, and the one member that both were told of stays away.
    for member in [first, second] {
        cluster.start_member(member);
    }
    cluster.on(first, put_for_sure(&cluster.handle(first), "after", "1"));
}

#[test]
fn a_dead_member_is_replaced_under_writes() {
    let mut cluster = Cluster::start(3);
    let dead = cluster.follower();
    let dead_id = cluster.handle(dead).member_id();
    let writer = Writer::start(cluster.handle(cluster.leader()));
    writer.goes_on();
    cluster.kill(dead);
    let asked = cluster.running()[0];
    // The founders' names are known from the start, so a dead one counts as one that has started.
    let members = unless_busy(|| cluster.on(asked, cluster.handle(asked).member_remove(dead_id)));
    assert_eq!(members.expect("it is removed").len(), 2);
    writer.goes_on();
    let (place, id) = add(&mut cluster, false);
    assert_ne!(id, dead_id);
    await_voters(&cluster, place, 3);
    writer.goes_on();
    // The old one comes back with all its data, and is told.
    cluster.start_member(dead);
    let why = cluster.ended(dead);
    assert!(why.contains("this member was removed from the cluster for good"), "{why}");
    // Nor does an empty folder help it.
    cluster.wipe(dead);
    cluster.start_member(dead);
    let why = cluster.ended(dead);
    assert!(why.contains("this member was removed from the cluster for good"), "{why}");
    let written = writer.end();
    check_content(&cluster, written);
}

#[test]
fn a_leader_that_is_removed_hands_over_and_stops() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let follower = cluster.follower();
    let writer = Writer::start(cluster.handle(follower));
    writer.goes_on();
    let id = cluster.handle(leader).member_id();
    let removed = cluster.on(leader, cluster.handle(leader).member_remove(id));
    // Whoever asks the one that goes may not hear the end of it.
    assert!(matches!(removed, Ok(_) | Err(Error::Unknown)), "{removed:?}");
    let why = cluster.ended(leader);
    assert!(why.contains("this member was removed from the cluster for good"), "{why}");
    await_voters(&cluster, follower, 2);
    writer.goes_on();
    let written = writer.end();
    check_content(&cluster, written);
}

#[test]
fn a_learner_follows_without_a_vote_until_it_is_promoted() {
    let mut cluster = Cluster::start(3);
    let asked = cluster.follower();
    let handle = cluster.handle(asked);
    // Added and not started: too early.
    let place = cluster.prepare_joiner();
    let url = cluster.peer_url(place);
    let added = unless_busy(|| cluster.on(asked, handle.member_add(vec![url.clone()], true)));
    let (id, _) = added.expect("it is added");
    let early = cluster.on(asked, handle.member_promote(id));
    assert!(matches!(early, Err(Error::LearnerNotReady)), "{early:?}");
    let second = cluster.on(asked, handle.member_add(vec!["https://127.0.0.1:1".to_owned()], true));
    assert!(matches!(second, Err(Error::TooManyLearners)), "{second:?}");
    let twice = cluster.on(asked, handle.member_add(vec![url], false));
    assert!(matches!(twice, Err(Error::PeerUrlExists)), "{twice:?}");
    let voter = handle.member_id();
    let wrong = cluster.on(asked, handle.member_promote(voter));
    assert!(matches!(wrong, Err(Error::NotALearner)), "{wrong:?}");
    let unknown = cluster.on(asked, handle.member_promote(17));
    assert!(matches!(unknown, Err(Error::MemberNotFound)), "{unknown:?}");

    cluster.start_member(place);
    cluster.on(asked, put_for_sure(&handle, "key", "1"));
    let learner = cluster.handle(place);
    eventually("the learner knows that it is one", || learner.is_learner().then_some(()));
    eventually("it follows", || (learner.revision() >= handle.revision()).then_some(()));
    eventually("three voters", || {
        let statuses = cluster.on(asked, handle.member_statuses());
        (statuses.iter().filter(|status| status.voter).count() == 3).then_some(())
    });
    // It cannot lead.
    let moved = cluster.on(asked, handle.move_leader(Some(id)));
    assert!(matches!(moved, Err(Error::BadTransferee)), "{moved:?}");

    let members = eventually("it is in sync", || match cluster.on(asked, handle.member_promote(id)) {
        Ok(members) => Some(members),
        Err(Error::LearnerNotReady) => None,
        Err(error) => panic!("it is refused: {error}"),
    });
    assert!(members.iter().all(|member| !member.learner));
    await_voters(&cluster, place, 4);
    eventually("it knows that it is none any more", || (!learner.is_learner()).then_some(()));
    drop((handle, learner));
    eventually("it can lead", || cluster.on(place, cluster.handle(place).move_leader(Some(id))).ok());
    check_content(&cluster, 0);
}

#[test]
fn a_learner_serves_what_it_can_by_itself() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, put_for_sure(&cluster.handle(0), "key", "1"));
    let (place, id) = add(&mut cluster, true);
    let learner = cluster.handle(place);
    eventually("the learner knows that it is one", || learner.is_learner().then_some(()));
    eventually("it follows", || (learner.revision() >= cluster.handle(0).revision()).then_some(()));
    let tls = cluster.tls(place).clone();
    let address = cluster.store_address(place);
    cluster.on(place, async {
        let read = |path| std::fs::read(path).expect("the file is there");
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&tls.ca)))
            .identity(Identity::from_pem(read(&tls.certificate), read(&tls.key)));
        let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address");
        let channel = endpoint.tls_config(tls).expect("TLS").connect().await.expect("it listens");
        let refused = |status: tonic::Status| {
            let expected = (tonic::Code::FailedPrecondition, "etcdserver: rpc not supported for learner");
            assert_eq!((status.code(), status.message()), expected);
        };
        let mut kv = KvClient::new(channel.clone());
        let request = |serializable| RangeRequest { key: "key".into(), serializable, ..RangeRequest::default() };
        let found = kv.range(request(true)).await.expect("a serializable range").into_inner();
        assert_eq!(found.kvs[0].value, "1");
        refused(kv.range(request(false)).await.expect_err("a linearizable one"));
        refused(kv.put(put("key", "2")).await.expect_err("a put"));
        refused(LeaseClient::new(channel.clone()).lease_leases(LeaseLeasesRequest {}).await.expect_err("leases"));
        let list = MemberListRequest { linearizable: false };
        refused(ClusterClient::new(channel.clone()).member_list(list).await.expect_err("members"));
        let mut maintenance = MaintenanceClient::new(channel.clone());
        let status = maintenance.status(StatusRequest {}).await.expect("a status").into_inner();
        assert!(status.is_learner && status.header.is_some_and(|header| header.member_id == id));
        refused(maintenance.alarm(AlarmRequest::default()).await.expect_err("alarms"));
        let mut blobs = maintenance.snapshot(SnapshotRequest {}).await.expect("a backup").into_inner();
        assert!(blobs.message().await.expect("a blob").is_some());
        let create = WatchCreateRequest { key: "key".into(), start_revision: 1, ..WatchCreateRequest::default() };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = futures::stream::iter([create]).chain(futures::stream::pending());
        let mut watch = WatchClient::new(channel).watch(requests).await.expect("a watch").into_inner();
        let mut events = 0;
        while events == 0 {
            events += watch.message().await.expect("a response").expect("the stream goes on").events.len();
        }
    });
}

#[test]
fn what_would_cost_the_quorum_is_refused() {
    let cluster = Cluster::start(1);
    let handle = cluster.handle(0);
    cluster.on(0, put_for_sure(&handle, "key", "1"));
    let last = cluster.on(0, handle.member_remove(handle.member_id()));
    assert!(matches!(last, Err(Error::NotEnoughStarted)), "{last:?}");
    for wrong in [vec![], vec!["127.0.0.1:1".to_owned()], vec!["https://127.0.0.1".to_owned()]] {
        let refused = cluster.on(0, handle.member_add(wrong, false));
        assert!(matches!(refused, Err(Error::MemberUrls)), "{refused:?}");
    }
    let (never_started, _) =
        cluster.on(0, handle.member_add(vec!["https://127.0.0.1:1".to_owned()], false)).expect("one may come");
    let second = cluster.on(0, handle.member_add(vec!["https://127.0.0.1:2".to_owned()], false));
    assert!(matches!(second, Err(Error::NotEnoughStarted)), "{second:?}");
    // One that never came costs nothing.
    cluster.on(0, handle.put(put("key", "2"))).expect("writes go on");
    cluster.on(0, handle.member_remove(never_started)).expect("it is removed again");
    drop(handle);

    // Of three, one is gone; without another one no quorum would answer.
    let mut cluster = Cluster::start(3);
    let dead = cluster.follower();
    cluster.kill(dead);
    let leader = cluster.leader();
    let alive = cluster.running().into_iter().find(|member| *member != leader).expect("a follower");
    let id = cluster.handle(alive).member_id();
    let refused = eventually("an answer", || match cluster.on(leader, cluster.handle(leader).member_remove(id)) {
        Err(Error::NoLeader) => None,
        answer => Some(answer),
    });
    assert!(matches!(refused, Err(Error::Unhealthy)), "{refused:?}");
}

#[test]
fn a_member_that_moved_is_found_at_its_new_address() {
    let mut cluster = Cluster::start(3);
    let moved = cluster.follower();
    let leader = cluster.leader();
    let id = cluster.handle(moved).member_id();
    cluster.stop(moved);
    let address = common::free_address();
    let url = format!("https://{address}");
    let handle = cluster.handle(leader);
    let taken = cluster.peer_url(leader);
    let refused = cluster.on(leader, handle.member_update(id, vec![taken]));
    assert!(matches!(refused, Err(Error::PeerUrlExists)), "{refused:?}");
    unless_busy(|| cluster.on(leader, handle.member_update(id, vec![url.clone()]))).expect("it is moved");
    let options = cluster.options(moved);
    options.listen_peer = address;
    cluster.start_member(moved);
    cluster.on(leader, put_for_sure(&handle, "key", "1"));
    let revision = handle.revision();
    eventually("it follows at its new address", || (cluster.handle(moved).revision() >= revision).then_some(()));
    assert!(handle.members().iter().any(|member| member.id == id && member.peer_urls == [url.clone()]));
}

/// What a crash can leave of a first start before the member has noted who it is.
#[test]
fn a_joiner_that_crashed_while_it_made_its_folder_joins_at_the_next_start() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, put_for_sure(&cluster.handle(0), "key", "1"));
    let crashes: [fn(&std::path::Path); 3] = [
        |_| {},
        |log| {
            std::fs::create_dir_all(log).expect("makes");
            std::fs::write(log.join("lock"), "").expect("writes");
        },
        |log| {
            // A segment, and half of what says whose it is.
            std::fs::create_dir_all(log).expect("makes");
            std::fs::write(log.join("0000000000000001.segment"), [0; 4096]).expect("writes");
            std::fs::write(log.join("identity.new"), "keelson raft").expect("writes");
        },
    ];
    for crash in crashes {
        let place = cluster.prepare_joiner();
        let url = cluster.peer_url(place);
        let (id, _) = cluster.on(0, cluster.handle(0).member_add(vec![url], true)).expect("it is added");
        let folder = cluster.data_dir(place);
        std::fs::create_dir_all(&folder).expect("makes");
        crash(&folder.join("log"));
        cluster.start_member(place);
        let joined = cluster.handle(place);
        assert_eq!((joined.member_id(), joined.cluster_id()), (id, cluster.handle(0).cluster_id()));
        eventually("it follows", || (joined.revision() >= cluster.handle(0).revision()).then_some(()));
        // And knows itself by its folder from then on.
        cluster.kill(place);
        cluster.start_member(place);
        assert_eq!(cluster.handle(place).member_id(), id);
        cluster.on(0, cluster.handle(0).member_remove(id)).expect("it is removed");
        cluster.ended(place);
    }
}

/// Nobody is left whose id follows from its name, so that the joiner knows the others by their addresses only.
#[test]
fn a_joiner_that_crashed_before_it_heard_anything_joins_at_the_next_start() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, put_for_sure(&cluster.handle(0), "key", "1"));
    let founder = cluster.handle(0).member_id();
    let (first, _) = add(&mut cluster, false);
    await_voters(&cluster, first, 2);
    eventually("the founder is removed", || cluster.on(first, cluster.handle(first).member_remove(founder)).ok());
    cluster.ended(0);
    await_voters(&cluster, first, 1);

    let second = cluster.prepare_joiner();
    let peers = cluster.options(first).peers.clone();
    let known = peers.into_iter().find(|peer| peer.name == "m2").expect("it is among its peers");
    cluster.options(second).peers.splice(..1, [known]);
    let url = cluster.peer_url(second);
    let (id, _) = cluster.on(first, cluster.handle(first).member_add(vec![url], false)).expect("it is added");
    cluster.open_and_crash(second);
    cluster.start_member(second);
    let joined = cluster.handle(second);
    assert_eq!(joined.member_id(), id);
    eventually("it follows", || (joined.revision() >= cluster.handle(first).revision()).then_some(()));
    await_voters(&cluster, first, 2);
}

#[test]
fn who_was_not_added_cannot_join() {
    let mut cluster = Cluster::start(1);
    cluster.on(0, put_for_sure(&cluster.handle(0), "key", "1"));
    let place = cluster.prepare_joiner();
    let error = cluster.try_start(place).err().expect("it is refused");
    assert!(error.to_string().contains("does not know a member at"), "{error}");
}
