//! What a cluster costs that does nothing: memory, and the time from start to ready.

use std::time::{Duration, Instant};

use keelson::dev::scratch::READY_WITHIN;
use keelson::dev::{Cluster, Scratch, Spec, ready};

use crate::options::Options;
use crate::report::{self, statistics};

/// How long the cluster is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(10);

/// Memory of the idle members, and the time from start to ready.
#[derive(Debug, clap::Args)]
pub struct Idle {
    /// How many starts with data already there.
    #[arg(long, default_value_t = 5)]
    restarts: usize,
    /// How many simulated nodes.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
}

impl Idle {
    /// Runs it and prints the table.
    pub async fn run(&self, options: &Options) -> anyhow::Result<()> {
        let started = Instant::now();
        let local =
            Scratch::start_program(&options.keelson_program()?, Spec { nodes: self.nodes, ..Spec::default() }).await?;
        let first = started.elapsed();
        tokio::time::sleep(SETTLE).await;
        let resident: Vec<f64> = local
            .members()
            .filter_map(|member| member.resident_bytes())
            .map(|bytes| bytes as f64 / f64::from(1 << 20))
            .collect();
        let mut restarts = Vec::new();
        for _ in 0..self.restarts {
            let cluster = Cluster::clone(&local);
            tokio::task::spawn_blocking(move || cluster.stop()).await??;
            let started = Instant::now();
            for index in 0..3 {
                local.start_member(index)?;
            }
            let deadline = started + READY_WITHIN;
            ready::control_plane(&local, deadline, |_| {}).await?;
            restarts.push(started.elapsed().as_secs_f64());
            local.start_agent()?;
            ready::nodes(&local, deadline, |_| {}).await?;
        }
        let resident_text: Vec<String> = resident.iter().map(|mib| format!("{mib:.0} MiB")).collect();
        let median = statistics::median(&restarts).unwrap_or(f64::NAN);
        let slowest = restarts.iter().copied().fold(f64::NAN, f64::max);
        report::table(
            &format!("Three idle members, {} simulated nodes, TLS on", self.nodes),
            &["what", "figure"],
            vec![
                vec![
                    format!("resident memory of each member, {} s after ready", SETTLE.as_secs()),
                    resident_text.join(", "),
                ],
                vec![
                    "first start (certificates, members, nodes) to all nodes Ready".to_owned(),
                    format!("{:.2} s", first.as_secs_f64()),
                ],
                vec![
                    format!(
                        "start of the members with data to one leader and all answering, median of {}",
                        self.restarts
                    ),
                    format!("{median:.2} s (maximum {slowest:.2} s)"),
                ],
            ],
        );
        Ok(())
    }
}
