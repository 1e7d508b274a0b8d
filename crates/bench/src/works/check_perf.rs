//! `etcdctl check perf`, etcd's own verdict over a cluster, by running the program.

use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;

use crate::driver::Work;
use crate::figure::{Bound, Figure, RATE, Target};
use crate::options::{self, Options};
use crate::side::Side;

/// The check takes a minute, and some time to remove what it wrote.
const WITHIN: Duration = Duration::from_secs(180);

/// `etcdctl check perf`, which takes a minute for each cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckPerf {
    /// How much: s, m, l or xl.
    #[arg(long, default_value = "l", value_parser = ["s", "m", "l", "xl"])]
    pub load: String,
}

#[async_trait(?Send)]
impl Work for CheckPerf {
    fn title(&self) -> String {
        format!("etcdctl check perf --load={}", self.load)
    }

    fn targets(&self) -> Vec<Target> {
        let etcd_alone = if self.load == "l" { "4,547/s: fails" } else { "" };
        let rate = Target { figure: RATE, bound: Bound::RatioAtLeast(1.0), etcd_alone, limit: "" };
        vec![rate, Target { figure: "failed checks", bound: Bound::AtMost(0.0), etcd_alone: "", limit: "" }]
    }

    fn has_limit(&self) -> bool {
        true
    }

    fn pairs(&self, _: usize) -> usize {
        1
    }

    async fn run(&self, side: &Side, _: &Options) -> anyhow::Result<Vec<Figure>> {
        let running = tokio::process::Command::new(options::tool("etcd-3.5/etcdctl")?)
            .env("ETCDCTL_API", "3")
            .args(side.etcdctl_arguments())
            .args(["check", "perf", &format!("--load={}", self.load)])
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(WITHIN, running).await.context("etcdctl does not end")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = Verdict::read(&text);
        let (Some(rate), Some(slowest)) = (verdict.per_second, verdict.slowest_seconds) else {
            bail!("etcdctl gave no verdict: {text} {}", String::from_utf8_lossy(&output.stderr));
        };
        Ok(vec![
            Figure::higher(RATE, "/s", rate),
            Figure::lower("slowest request", "s", slowest),
            Figure::lower("failed checks", "", verdict.failed as f64),
        ])
    }
}

/// What the program printed: a line for each of throughput, slowest request and spread, and one more if requests failed.
#[derive(Debug, Default, PartialEq)]
struct Verdict {
    per_second: Option<f64>,
    slowest_seconds: Option<f64>,
    failed: usize,
}

impl Verdict {
    fn read(text: &str) -> Self {
        let mut verdict = Self::default();
        // A progress bar overwrites itself before the first of them.
        for line in text.split(['\n', '\r']) {
            // Not all that fails is marked so; but all of it is too low, too long, too high or too many.
            verdict.failed += usize::from(line.contains(" too "));
            if line.contains("Throughput") {
                verdict.per_second = number_before(line, " writes/s");
            } else if line.contains("Slowest request") {
                verdict.slowest_seconds = number_before(line, "s");
            }
        }
        verdict
    }
}

/// The last number of a line that ends with a unit.
fn number_before(line: &str, unit: &str) -> Option<f64> {
    line.trim().strip_suffix(unit)?.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_whether_they_pass_or_fail() {
        let text = "59 / 60  98.33%\r60 / 60 100.00% 1m0s\nFAIL: Throughput too low: 4547 writes/s\n\
                    PASS: Slowest request took 0.312s\nStddev too high: 0.21s\nFAIL\n";
        let verdict = Verdict { per_second: Some(4547.0), slowest_seconds: Some(0.312), failed: 2 };
        assert_eq!(Verdict::read(text), verdict);
        let text = "PASS: Throughput is 8000 writes/s\nSlowest request took too long: 1.5s\nPASS: Stddev is 0.021s\n";
        let verdict = Verdict { per_second: Some(8000.0), slowest_seconds: Some(1.5), failed: 1 };
        assert_eq!(Verdict::read(text), verdict);
        assert_eq!(Verdict::read("Error: context deadline exceeded"), Verdict::default());
    }
}
