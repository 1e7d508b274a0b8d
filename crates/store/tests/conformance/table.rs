//! What the servers gave, side by side.

use std::collections::BTreeSet;

use crate::differences::{self, Difference, Server};
use crate::patience::{NOT_ASKED, TOO_LATE};
use crate::run::{Run, STOPPED};

/// One case on all servers.
pub struct Row {
    pub case: String,
    etcd_34: String,
    etcd_35: String,
    keelson: String,
}

impl Row {
    /// Which servers differ from Keelson.
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

    fn why(&self, server: Server) -> Option<&'static str> {
        differences::why(&self.case, server, self.etcd_35 == self.keelson)
    }

    /// Whether all that differs may.
    pub fn is_explained(&self) -> bool {
        self.differs().into_iter().all(|server| self.why(server).is_some())
    }

    /// Whether a difference that is listed is what explains something here.
    pub fn needs(&self, difference: &Difference) -> bool {
        self.differs().into_iter().any(|server| difference.covers(&self.case, server))
    }

    /// Whether a server owes an answer.
    pub fn is_owed(&self) -> bool {
        let owes = |answer: &String| answer.contains(NOT_ASKED) || answer.contains(TOO_LATE);
        self.case.ends_with(STOPPED) || [&self.etcd_34, &self.etcd_35, &self.keelson].into_iter().any(owes)
    }
}

/// The cases of etcd 3.4, etcd 3.5 and Keelson, in their order; then the names of metrics.
pub fn rows(runs: [&Run; 3]) -> Vec<Row> {
    let mut known = BTreeSet::new();
    let cases = runs.iter().rev().flat_map(|run| &run.seen).map(|(case, _)| case).filter(|case| known.insert(*case));
    let answer = |run: &Run, case: &str| {
        let found = run.seen.iter().find(|(name, _)| name == case);
        found.map_or_else(|| NOT_ASKED.to_owned(), |(_, answer)| answer.clone())
    };
    let row = |case: &String, of: &dyn Fn(&Run) -> String| {
        let [etcd_34, etcd_35, keelson] = runs.map(of);
        Row { case: case.clone(), etcd_34, etcd_35, keelson }
    };
    let mut rows: Vec<Row> = cases.map(|case| row(case, &|run| answer(run, case))).collect();
    let metrics: BTreeSet<&String> = runs.iter().flat_map(|run| &run.metrics).collect();
    rows.extend(metrics.into_iter().map(|name| {
        let there = |run: &Run| if run.metrics.contains(name) { "there" } else { "not there" }.to_owned();
        row(&format!("metrics: {name}"), &there)
    }));
    rows
}

/// Prints each case that differs, and what is known about it.
pub fn print(rows: &[Row]) {
    let differing: Vec<&Row> = rows.iter().filter(|row| !row.differs().is_empty()).collect();
    println!("{} cases, {} of them different on some server", rows.len(), differing.len());
    for row in differing {
        println!("\n| {}", row.case);
        let differs = row.differs();
        for (server, name, answer) in [
            (Some(Server::Etcd34), "etcd 3.4", &row.etcd_34),
            (Some(Server::Etcd35), "etcd 3.5", &row.etcd_35),
            (None, "keelson ", &row.keelson),
        ] {
            let mark = match server.filter(|server| differs.contains(server)) {
                Some(server) => row.why(server).unwrap_or("NOT EXPLAINED"),
                None => "",
            };
            println!("|   {name}  {answer}  {mark}");
        }
    }
}
