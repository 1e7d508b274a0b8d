//! A node dies: its pods run elsewhere, and how soon is printed. By the local cluster's settings it should take less than ten
//! seconds; how busy the machine is does not fail it.

use std::time::Instant;

use jepsen_like_tests::{Cluster, workload};
use keelson::dev::{Process, Spec};

const DOOMED: &str = "doomed-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_dead_node_run_elsewhere() {
    let cluster = Cluster::start(Spec::default()).await.expect("the cluster becomes ready");
    let api = cluster.api().expect("a client");
    let agent = a_second_agent(&cluster);
    workload::a_node_is_ready(&api, DOOMED).await.expect("a node is ready");
    workload::a_deployment_is_available(&api, "web", 8).await.expect("a deployment is available");
    let on_it = workload::pods_on(&api, DOOMED).await.expect("pods on");
    assert!(on_it > 0, "the scheduler put nothing on {DOOMED}");
    let killed = Instant::now();
    agent.kill().expect("the agent is killed");
    workload::all_ready_elsewhere(&api, "web", 8, DOOMED).await.expect("all ready elsewhere");
    let took = killed.elapsed();
    println!("{on_it} pods of {DOOMED} run elsewhere {:.1} s after it died", took.as_secs_f64());
}

/// An agent process of its own with one node, so that only this node dies with it.
fn a_second_agent(cluster: &Cluster) -> Process {
    let process = Process::new("doomed", cluster.layout().process("doomed"));
    let pki = cluster.agent().layout().pki().to_string_lossy().into_owned();
    let endpoints = cluster.spec().api_endpoints().join(",");
    let arguments = [
        "agent",
        "--endpoints",
        &endpoints,
        "--pki-dir",
        &pki,
        "--nodes",
        "1",
        "--node-prefix",
        "doomed-",
        "--lease-seconds",
        "1",
    ];
    let program = keelson::dev::scratch::program("keelson").expect("keelson is built");
    process.start(&program, &arguments.map(str::to_owned)).expect("the agent starts");
    process
}
