//! The same requests to etcd 3.4, to etcd 3.5 and to Keelson, and one table of what differs.
//!
//! A case is a request, and what it gives is written as a line of text in which nothing depends on the server's own
//! numbers: revisions count from the beginning of the group that the case is in. A difference is allowed only when it is
//! explained in `differences`, and the README has the same explanations. One that is listed and does not occur fails the
//! test like one that occurs and is not listed.
//!
//! Servers are single members on ports of the loopback. The paths of etcd's programs come from the environment, as
//! `make test` sets it.

mod cases;
#[path = "../etcd_v3/certificates.rs"]
mod certificates;
mod differences;
#[path = "../etcd_v3/etcd_process.rs"]
mod etcd_process;
#[path = "../etcd_v3/eventually.rs"]
mod eventually;
#[path = "../etcd_v3/ports.rs"]
mod ports;
mod run;
mod servers;
mod show;

use std::collections::BTreeSet;

use differences::{DIFFERENCES, Server};
use run::Run;

/// Fewer cases than this mean that some were lost.
const CASES_MIN: usize = 150;

/// One case on all servers.
struct Row {
    case: String,
    etcd_34: String,
    etcd_35: String,
    keelson: String,
}

impl Row {
    /// What differs from Keelson.
    fn differs(&self) -> Vec<Server> {
        let mut differs = Vec::new();
        if self.etcd_34 != self.keelson {
            differs.push(Server::Etcd34);
        }
        if self.etcd_35 != self.keelson {
            differs.push(Server::Etcd35);
        }
        differs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keelson_answers_as_etcd_does() {
    let etcd_34 = servers::etcd(etcd_process::V34).await;
    let etcd_35 = servers::etcd(etcd_process::V35).await;
    let keelson = servers::keelson().await;
    let (of_34, of_35, of_keelson) = tokio::join!(all_cases(&etcd_34), all_cases(&etcd_35), all_cases(&keelson));
    let names = |seen: &[(String, String)]| seen.iter().map(|(case, _)| case.clone()).collect::<Vec<_>>();
    assert_eq!(names(&of_34), names(&of_keelson), "all run the same cases");
    assert_eq!(names(&of_35), names(&of_keelson), "all run the same cases");
    assert_eq!(names(&of_keelson).len(), names(&of_keelson).iter().collect::<BTreeSet<_>>().len(), "names are unique");
    assert!(of_keelson.len() >= CASES_MIN, "{} cases", of_keelson.len());

    let rows: Vec<Row> = (of_34.into_iter().zip(of_35).zip(of_keelson))
        .map(|(((case, etcd_34), (_, etcd_35)), (_, keelson))| Row { case, etcd_34, etcd_35, keelson })
        .collect();
    report(&rows);
    let unexplained: Vec<&str> = (rows.iter())
        .filter(|row| row.differs().iter().any(|server| explained(&row.case, *server).is_none()))
        .map(|row| row.case.as_str())
        .collect();
    assert!(unexplained.is_empty(), "not explained: {unexplained:#?}");
    let occurs = |difference: &differences::Difference| {
        rows.iter()
            .any(|row| difference.covers(&row.case) && row.differs().iter().any(|server| difference.is_of(*server)))
    };
    let stale: Vec<&str> = DIFFERENCES.iter().filter(|one| !occurs(one)).map(|one| one.case).collect();
    assert!(stale.is_empty(), "explained, but not there any more: {stale:#?}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("a README");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let missing: Vec<&str> =
        DIFFERENCES.iter().map(|one| one.why).filter(|why| !words(&readme).contains(&words(why))).collect();
    assert!(missing.is_empty(), "the README does not say: {missing:#?}");
}

async fn all_cases(server: &servers::Running) -> Vec<(String, String)> {
    let mut run = Run::new(server.address, server.channel()).await;
    cases::all(&mut run).await;
    run.seen
}

fn explained(case: &str, server: Server) -> Option<&'static str> {
    DIFFERENCES.iter().find(|difference| difference.covers(case) && difference.is_of(server)).map(|one| one.why)
}

/// Prints each case that differs, and what is known about it.
fn report(rows: &[Row]) {
    let differing: Vec<&Row> = rows.iter().filter(|row| !row.differs().is_empty()).collect();
    println!("{} cases, {} of them different on some server", rows.len(), differing.len());
    for row in differing {
        println!("\n| {}", row.case);
        for (server, name, answer) in [
            (Some(Server::Etcd34), "etcd 3.4", &row.etcd_34),
            (Some(Server::Etcd35), "etcd 3.5", &row.etcd_35),
            (None, "keelson ", &row.keelson),
        ] {
            let mark = match server {
                Some(server) if row.differs().contains(&server) => {
                    explained(&row.case, server).unwrap_or("NOT EXPLAINED")
                }
                _ => "",
            };
            println!("|   {name}  {answer}  {mark}");
        }
    }
}
