//! Clients read and write registers through all members while members are killed, paused and cut off from each other. What
//! they saw must be linearizable, and every acknowledged write must be in the final history once.

use std::time::Duration;

use jepsen_like_tests::{Cluster, Registers};
use keelson::dev::Spec;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const CLIENTS: u64 = 6;
const ROUNDS: u32 = 8;
/// How long an answer may take to come while one member is gone: some elections, and some timeouts of the clients.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_see_is_linearizable_under_kills_pauses_and_partitions() {
    let seed = std::env::var("KEELSON_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("KEELSON_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let cluster = Cluster::start(Spec { nodes: 0, ..Spec::default() }).await.expect("the cluster becomes ready");
    assert!(cluster.proxies_are_used(), "the members do not talk through the proxies");
    let registers = Registers::start(&cluster, CLIENTS, seed).expect("the clients start");
    for round in 0..ROUNDS {
        registers.answered(40, ANSWERED_WITHIN).await.expect("answers in a healthy cluster");
        // Every other fault hits the leader, which is the more interesting one.
        let leader = cluster.leader().await.expect("somebody leads");
        let target = if round % 2 == 0 { leader } else { random.random_range(0..3) };
        let fault = random.random_range(0..4);
        let what = ["kill", "pause", "isolate", "cut one way"][fault];
        registers.note(format!("{what} m{}", target + 1)).await.expect("noted");
        match fault {
            0 => cluster.kill(target).await.expect("killed"),
            1 => cluster.pause(target).expect("paused"),
            2 => cluster.isolate(target),
            _ => cluster.cut(|from, _| from == target),
        }
        registers.answered(40, ANSWERED_WITHIN).await.expect("answers of the other two");
        registers.note("heal").await.expect("noted");
        cluster.recover().await.expect("the cluster recovers");
    }
    let judged = registers.judge(&cluster).await.expect("a correct store");
    let revision = cluster.converge().await.expect("all members agree");
    assert!(judged.answered as u32 >= ROUNDS * 80, "too little was seen: {judged:?}");
    println!("{ROUNDS} faults, {judged:?}, linearizable; all members agree at revision {revision}");
}
