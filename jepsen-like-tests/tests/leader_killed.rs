//! `kill -9` of the member that leads, again and again, with writers running: writes are accepted again, pods are bound
//! again, the member that comes back catches up, and nothing acknowledged is lost.

use jepsen_like_tests::{Cluster, Writers, workload};
use keelson::dev::Spec;

const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let cluster = Cluster::start(Spec::default()).await.expect("the cluster becomes ready");
    let api = cluster.api().expect("a client");
    let writers = Writers::start(&cluster, 8);
    for round in 0..KILLS {
        writers.accepted(100).await.expect("writes are accepted before the kill");
        let leader = cluster.leader().await.expect("somebody leads");
        cluster.kill(leader).await.expect("it is killed");
        writers.accepted(100).await.expect("writes are accepted without the killed member");
        workload::a_pod_is_bound(&api, &format!("after-kill-{round}")).await.expect("a pod is bound");
        cluster.recover().await.expect("the member comes back");
    }
    let count = writers.check(&cluster).await.expect("every acknowledged write is there");
    let revision = cluster.converge().await.expect("all members agree");
    println!("{KILLS} kills, {count} acknowledged writes, all there; all members agree at revision {revision}");
}
