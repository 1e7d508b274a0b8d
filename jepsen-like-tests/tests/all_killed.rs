//! `kill -9` of all members at once under load, then a restart: every acknowledged write is there, the workload continues.

use jepsen_like_tests::{Cluster, Writers, workload};
use keelson::dev::Spec;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_members_are_killed_at_once() {
    // How long the members are away depends on the machine, and by the local cluster's settings pods would move after 5 s.
    let server_arguments = ["--node-monitor-grace-seconds", "120"].map(str::to_owned).into();
    let spec = Spec { server_arguments, ..Spec::default() };
    let cluster = Cluster::start(spec).await.expect("the cluster becomes ready");
    let api = cluster.api().expect("a client");
    workload::a_deployment_is_available(&api, "web", 3).await.expect("a deployment is available");
    let before = workload::pods(&api, "web").await.expect("pods");
    let writers = Writers::start(&cluster, 16);
    writers.accepted(2_000).await.expect("writes are accepted");
    let kills: Vec<_> = (0..3).map(|index| cluster.kill(index)).collect();
    for killed in futures::future::join_all(kills).await {
        killed.expect("it is killed");
    }
    cluster.recover().await.expect("the members come back");
    writers.accepted(100).await.expect("writes are accepted again");
    let count = writers.check(&cluster).await.expect("every acknowledged write is there");
    assert_eq!(workload::pods(&api, "web").await.expect("pods"), before, "the pods go on undisturbed");
    workload::a_deployment_is_available(&api, "web", 5).await.expect("a deployment is available");
    let revision = cluster.converge().await.expect("all members agree");
    println!("{count} acknowledged writes, all there; all members agree at revision {revision}");
}
