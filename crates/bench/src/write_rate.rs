//! Puts per second of three Keelson members beside three etcd members, in alternating runs on one disk, TLS off for both.

use std::time::Duration;

use crate::etcd::Etcd;
use crate::load::{Outcome, Puts};
use crate::report;
use keelson::dev::{Scratch, Spec};

/// Puts per second beside etcd.
#[derive(Debug, clap::Args)]
pub struct WriteRate {
    /// How many pairs of runs for each number of clients.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Seconds of one run.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many clients, each with one request in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    clients: Vec<usize>,
    /// Size of a value in bytes.
    #[arg(long, default_value_t = 256)]
    value_bytes: usize,
}

impl Default for WriteRate {
    fn default() -> Self {
        Self { pairs: 3, seconds: 5, clients: vec![1, 100, 1000], value_bytes: 256 }
    }
}

impl WriteRate {
    /// Runs it and prints the table.
    pub async fn run(&self) -> anyhow::Result<()> {
        let etcd = Etcd::start(3).await?;
        let keelson = Scratch::start(Spec { nodes: 0, insecure_store: true, ..Spec::default() }).await?;
        let (theirs, ours) = (etcd.endpoints(), keelson.spec().store_endpoints());
        let mut rows = Vec::new();
        for &clients in &self.clients {
            let puts = Puts { clients, value_bytes: self.value_bytes, duration: Duration::from_secs(self.seconds) };
            let (mut of_etcd, mut of_keelson) = (Vec::new(), Vec::new());
            for _ in 0..self.pairs {
                of_etcd.push(puts.run(&theirs).await?);
                of_keelson.push(puts.run(&ours).await?);
            }
            let (etcd_row, keelson_row) = (Row::of(&of_etcd), Row::of(&of_keelson));
            rows.push(etcd_row.cells("etcd 3.5", clients, None));
            rows.push(keelson_row.cells("keelson", clients, Some(keelson_row.per_second / etcd_row.per_second)));
        }
        report::table(
            &format!(
                "Puts of {} B over all three members, {} pairs of {} s runs, medians; both clusters run all the time, no TLS, \
                 fsync on",
                self.value_bytes, self.pairs, self.seconds
            ),
            &["clients", "store", "puts/s", "p50", "p99", "errors", "ratio"],
            rows,
        );
        Ok(())
    }
}

struct Row {
    per_second: f64,
    p50: f64,
    p99: f64,
    errors: u64,
}

impl Row {
    fn of(outcomes: &[Outcome]) -> Self {
        let median = |value: fn(&Outcome) -> f64| {
            report::median(&outcomes.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        };
        Self {
            per_second: median(|outcome| outcome.per_second),
            p50: median(|outcome| outcome.p50.as_secs_f64()),
            p99: median(|outcome| outcome.p99.as_secs_f64()),
            errors: outcomes.iter().map(|outcome| outcome.errors).sum(),
        }
    }

    fn cells(&self, store: &str, clients: usize, ratio: Option<f64>) -> Vec<String> {
        vec![
            clients.to_string(),
            store.to_owned(),
            format!("{:.0}", self.per_second),
            report::milliseconds(Duration::from_secs_f64(self.p50)),
            report::milliseconds(Duration::from_secs_f64(self.p99)),
            self.errors.to_string(),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}×")),
        ]
    }
}
