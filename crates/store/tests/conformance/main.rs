//! The same requests to etcd 3.4, to etcd 3.5 and to Keelson, and one table of what differs.
//!
//! A case is a request, and what it gives is written as a line of text in which nothing depends on the server's own
//! numbers: revisions count from the beginning of the group that the case is in. A difference is allowed only when it is
//! explained in `differences`, and the README has the same explanations. One that is listed and does not occur fails the
//! test like one that occurs and is not listed.
//!
//! A server that does not answer, or ends, costs the cases that it owes and is told by their names: the suite goes on and ends.
//!
//! Servers are single members, and for some cases clusters of three, on ports of the loopback. The paths of etcd's programs come from the environment, as
//! `make test` sets it.

mod cases;
#[path = "../etcd_v3/certificates.rs"]
mod certificates;
mod differences;
#[path = "../etcd_v3/etcd_process.rs"]
mod etcd_process;
#[path = "../etcd_v3/eventually.rs"]
mod eventually;
mod patience;
#[path = "../etcd_v3/ports.rs"]
mod ports;
mod refusals;
mod run;
mod servers;
mod show;
mod table;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../etcd_v3/web.rs"]
mod web;
mod wire;

use std::collections::BTreeSet;

use differences::DIFFERENCES;
use eventually::PATIENCE;
use run::Run;

/// Fewer cases than this mean that some were lost.
const CASES_MIN: usize = 450;
/// How often etcd is asked at most.
const ATTEMPTS: usize = 3;
/// Fewer names than this mean that the page of metrics was not read.
const METRICS_MIN: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn keelson_answers_as_etcd_does() {
    let runs = tokio::join!(
        undisturbed(|| all_cases(servers::etcd(etcd_process::V34), servers::etcd(etcd_process::V34))),
        undisturbed(|| all_cases(servers::etcd(etcd_process::V35), servers::etcd(etcd_process::V35))),
        all_cases(servers::keelson(), servers::keelson()),
    );
    let names = |run: &Run| run.seen.iter().map(|(case, _)| case.clone()).collect::<BTreeSet<_>>();
    for run in [&runs.0, &runs.1, &runs.2] {
        assert_eq!(names(run).len(), run.seen.len(), "names are unique");
    }
    let cases = runs.2.seen.len();
    let rows = table::rows([&runs.0, &runs.1, &runs.2]);
    table::print(&rows);

    let owed: Vec<&str> = rows.iter().filter(|row| row.is_owed()).map(|row| row.case.as_str()).collect();
    assert!(owed.is_empty(), "without an answer: {owed:#?}");
    assert!(cases >= CASES_MIN, "{cases} cases");
    assert!(runs.2.metrics.len() >= METRICS_MIN, "{} metrics", runs.2.metrics.len());
    let unexplained: Vec<&str> = rows.iter().filter(|row| !row.is_explained()).map(|row| row.case.as_str()).collect();
    assert!(unexplained.is_empty(), "not explained: {unexplained:#?}");
    let occurs = |one: &differences::Difference| rows.iter().any(|row| row.needs(one));
    let stale: Vec<&str> = DIFFERENCES.iter().filter(|one| !occurs(one)).map(|one| one.case).collect();
    assert!(stale.is_empty(), "explained, but not there any more: {stale:#?}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("a README");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = words(&readme);
    let missing: BTreeSet<&str> = differences::reasons().filter(|why| !readme.contains(&words(why))).collect();
    assert!(missing.is_empty(), "the README does not say: {missing:#?}");
}

/// What etcd gives when its machine does not keep it waiting: after some seconds it answers that it timed out, or not at all,
/// which is no difference. So it is asked anew then, all of it, of new servers; Keelson is not.
async fn undisturbed<F: Future<Output = Run>>(ask: impl Fn() -> F) -> Run {
    let mut run = ask().await;
    for _ in 1..ATTEMPTS {
        let Some(case) = run.disturbed() else { break };
        println!("asked anew, because of what this got: {case}");
        run = ask().await;
    }
    run
}

/// What a single member gives, and then what a cluster gives, as far as they go.
async fn all_cases(
    one: impl Future<Output = [servers::Running; 1]>,
    three: impl Future<Output = [servers::Running; 3]>,
) -> Run {
    let mut run = {
        let [server] = one.await;
        let mut run = Run::new(&server).await;
        cases::of_one(&mut run).await;
        run
    };
    let [first, second, third] = three.await;
    let mut runs = [Run::new(&first).await, Run::new(&second).await, Run::new(&third).await];
    cases::of_three(&mut runs).await;
    run.seen.extend(runs.into_iter().flat_map(|run| run.seen));
    run
}
