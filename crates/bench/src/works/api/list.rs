//! Lists of much data: how long they take, and how much memory the member needs for them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use tokio::task::JoinSet;

use super::{MANY_OBJECTS, OBJECTIVES, fill, namespace, objects, path};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Published, Target};
use crate::options::Options;
use crate::side::{Members, Side};
use crate::wire::Rest;

const NAMESPACE: &str = "bench-list";
/// Creations in flight: few, because each is large.
const IN_FLIGHT: usize = 12;
/// How long the members are left alone before the lists, to write down what they were given; less where only the counting is tested.
const SETTLE: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 10_000 });
const ABOVE: &str = "RSS above idle, one list";
const ABOVE_MANY: &str = "RSS above idle, lists at once";
const SECONDS: &str = "one list";
const WATCH_LIST: &str =
    "https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3157-watch-list";
const STREAMED: &str = "https://kubernetes.io/blog/2025/05/09/kubernetes-v1-33-streaming-list-responses/";

/// Lists of large objects: time, and memory of the member that answers above what it had before.
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// How many objects.
    #[arg(long, default_value_t = 10_000)]
    pub objects: usize,
    /// How large each is.
    #[arg(long, default_value_t = 100_000)]
    pub data_bytes: usize,
    /// How many lists at once, after the single one, by programs with a connection each.
    #[arg(long, default_value_t = 10)]
    pub lists: usize,
}

#[async_trait(?Send)]
impl Work for List {
    fn title(&self) -> String {
        let Self { objects, data_bytes, lists } = self;
        format!("API: list of {objects} configmaps of {data_bytes} B as JSON, alone and {lists} at once")
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: ABOVE, bound: Bound::AtMost(64.0), etcd_alone: "", limit: "" }]
    }

    fn published(&self) -> Vec<Published> {
        let many = "3 GB used in all for 10 lists of 1 GB, 70 to 80 GB before v1.33";
        vec![
            Published { figure: ABOVE, text: "five times the answer, unless a watch streams it", source: WATCH_LIST },
            Published { figure: ABOVE_MANY, text: many, source: STREAMED },
            Published { figure: SECONDS, text: MANY_OBJECTS, source: OBJECTIVES },
        ]
    }

    fn has_peer(&self) -> bool {
        false
    }

    fn pairs(&self, _: usize) -> usize {
        // To load the objects takes longer than all lists.
        1
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        namespace(side, NAMESPACE).await?;
        let Self { objects, data_bytes, .. } = *self;
        let object = move |number: usize| objects::config_map(&format!("map-{number:08}"), number, data_bytes);
        fill(side, &collection(), objects, IN_FLIGHT, object).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    async fn run(&self, side: &Side, _: &Options) -> anyhow::Result<Vec<Figure>> {
        let members = side.api().await?;
        let idle = members.resident_bytes()?[0];
        let (bytes, seconds, above) = self.measured(&members, 1).await?;
        let (all, all_seconds, all_above) = self.measured(&members, self.lists).await?;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Ok(vec![
            Figure::lower("RSS before", "MiB", mebibytes(idle)),
            Figure::lower("size of a list", "MB", megabytes(bytes)),
            Figure::lower(ABOVE, "MiB", mebibytes(above)),
            Figure::lower(SECONDS, "s", seconds),
            Figure::higher("speed, one list", "MB/s", megabytes(bytes) / seconds),
            Figure::lower(ABOVE_MANY, "MiB", mebibytes(all_above)),
            Figure::lower("lists at once", "s", all_seconds),
            Figure::higher("speed, lists at once", "MB/s", megabytes(all) / all_seconds),
        ])
    }
}

impl List {
    /// So many lists at once of the member that leads: the bytes of all, the time, and by how much its memory grew at most.
    async fn measured(&self, members: &Members<'_>, lists: usize) -> anyhow::Result<(u64, f64, u64)> {
        let mut connections = Vec::new();
        for _ in 0..lists {
            connections.push(Rest::open(&members.endpoints()[0]).await?);
        }
        members.forget_peaks()?;
        let before = members.resident_bytes()?[0];
        let started = Instant::now();
        let mut listing = JoinSet::new();
        for mut rest in connections {
            listing.spawn_local(async move { rest.get_length(path(&collection())?).await });
        }
        let mut bytes = 0;
        while let Some(ended) = listing.join_next().await {
            let length = ended.context("a client panicked")??;
            // Without reading it: an answer with all objects is longer than all their values.
            ensure!(length > (self.objects * self.data_bytes) as u64, "objects are missing in a list");
            bytes += length;
        }
        let seconds = started.elapsed().as_secs_f64();
        let peak = members.peak_resident_bytes()?[0];
        Ok((bytes, seconds, peak.saturating_sub(before)))
    }
}

fn collection() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}
