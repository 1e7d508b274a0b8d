//! A follower that lost its disk and comes back empty rejoins by snapshot while writes go on, and ends with the same content
//! as the others.

use jepsen_like_tests::{Cluster, Writers};
use keelson::dev::Spec;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_follower_rejoins_by_snapshot_while_writes_go_on() {
    // Short logs, so that the entries from the beginning are gone and only a snapshot can help.
    let server_arguments = ["--snapshot-every-entries", "200", "--log-entries-to-keep", "50"].map(str::to_owned).into();
    let spec = Spec { nodes: 0, server_arguments, ..Spec::default() };
    let cluster = Cluster::start(spec).await.expect("the cluster becomes ready");
    let writers = Writers::start(&cluster, 8);
    writers.accepted(5_000).await.expect("writes are accepted");
    let leader = cluster.leader().await.expect("somebody leads");
    let follower = (leader + 1) % 3;
    cluster.kill(follower).await.expect("it is killed");
    cluster.wipe_member(follower).expect("its data is removed");
    writers.accepted(500).await.expect("two members accept writes");
    cluster.recover().await.expect("the empty member comes back");
    writers.accepted(500).await.expect("three members accept writes");
    let count = writers.check(&cluster).await.expect("every acknowledged write is there");
    let revision = cluster.converge().await.expect("all members agree");
    let log = std::fs::read_to_string(cluster.member(follower).layout().log()).expect("its log");
    assert!(log.contains("installing a snapshot"), "the member did not rejoin by snapshot");
    println!("{count} acknowledged writes; the hashes of all members are equal at revision {revision}");
}
