//! How much memory objects take: what the caches say of themselves, and by how much the processes grow.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::Bytes;

use super::{fill, namespace, objects, path};
use crate::driver::Work;
use crate::figure::{Bound, Figure, Published, Target};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Rest, Verb};

const NAMESPACE: &str = "bench-memory";
/// Creations in flight.
const IN_FLIGHT: usize = 60;
/// How long the members are left alone before their memory is read; less where only the counting is tested.
const SETTLE: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 5_000 });
const CACHE_RATIO: &str = "cache by wire";
const GROWTH_RATIO: &str = "RSS growth by wire";

/// Memory of the API's caches by the size of their objects on the wire, and how much the members grow.
#[derive(Clone, Debug, clap::Args)]
pub struct Memory {
    /// How many objects.
    #[arg(long, default_value_t = 100_000)]
    pub objects: usize,
    /// The bytes of each that are not its metadata.
    #[arg(long, default_value_t = 1 << 10)]
    pub data_bytes: usize,
    /// What they are. Pods are also held by the scheduler and the controllers, in the same process.
    #[arg(long, value_enum, default_value_t = Kind::Configmaps)]
    pub kind: Kind,
}

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Configmaps,
    Pods,
}

impl Kind {
    fn plural(self) -> &'static str {
        match self {
            Self::Configmaps => "configmaps",
            Self::Pods => "pods",
        }
    }
}

#[async_trait(?Send)]
impl Work for Memory {
    fn title(&self) -> String {
        format!("API: memory of {} {} with {} B of data", self.objects, self.kind.plural(), self.data_bytes)
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target { figure: CACHE_RATIO, bound: Bound::AtMost(1.5), etcd_alone: "", limit: "" }]
    }

    fn published(&self) -> Vec<Published> {
        let cache = "5.2× the size as JSON, of custom objects, v1.35";
        let growth = "some 100 MiB for 10,000 ConfigMaps of 1 KiB, 1 GiB for custom objects";
        vec![
            Published {
                figure: CACHE_RATIO,
                text: cache,
                source: "https://github.com/kubernetes/kubernetes/issues/142062",
            },
            Published {
                figure: GROWTH_RATIO,
                text: growth,
                source: "https://github.com/kubernetes/kubernetes/issues/124680",
            },
        ]
    }

    fn has_peer(&self) -> bool {
        false
    }

    fn pairs(&self, _: usize) -> usize {
        // A second run would find the objects there.
        1
    }

    async fn run(&self, side: &Side, _: &Options) -> anyhow::Result<Vec<Figure>> {
        namespace(side, NAMESPACE).await?;
        let plural = self.kind.plural();
        let collection = format!("/api/v1/namespaces/{NAMESPACE}/{plural}");
        let members = side.api().await?;
        // Of other objects of the kind, which the cluster makes for itself.
        let mut before = Vec::new();
        for endpoint in members.endpoints() {
            before.push(Held::ask(&mut Rest::open(endpoint).await?, plural).await?);
        }
        tokio::time::sleep(SETTLE).await;
        let empty = members.resident_bytes()?;
        let started = Instant::now();
        let Self { objects, data_bytes, kind } = *self;
        let object = move |number: usize| match kind {
            Kind::Configmaps => objects::config_map(&format!("map-{number:08}"), number, data_bytes),
            Kind::Pods => objects::pod(&format!("pod-{number:08}"), number, data_bytes),
        };
        fill(side, &collection, objects, IN_FLIGHT, object).await?;
        let creates = objects as f64 / started.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLE).await;
        let full = members.resident_bytes()?;
        let growth = empty.iter().zip(&full).map(|(empty, full)| full.saturating_sub(*empty));
        let (least, most) = (growth.clone().min().unwrap_or(0), growth.max().unwrap_or(0));

        let mut cached = 0;
        for (endpoint, before) in members.endpoints().iter().zip(before) {
            let held = Held::ask(&mut Rest::open(endpoint).await?, plural).await?;
            let grown = held.objects.saturating_sub(before.objects);
            ensure!(grown >= objects as u64, "a member caches {grown} of {objects} objects");
            cached = cached.max(held.bytes.saturating_sub(before.bytes));
        }
        // What a list of them takes on the wire, measured as it is sent.
        let wire = Rest::open(&members.endpoints()[0]).await?.get_length(path(&collection)?).await?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let each = |bytes: u64| bytes as f64 / objects as f64;
        Ok(vec![
            Figure::lower("wire bytes of an object", "B", each(wire)),
            Figure::lower("cache bytes of an object", "B", each(cached)),
            Figure::lower(CACHE_RATIO, "×", cached as f64 / wire as f64),
            Figure::lower("RSS of an empty member", "MiB", mebibytes(empty.iter().copied().max().unwrap_or(0))),
            Figure::lower("RSS growth, least", "MiB", mebibytes(least)),
            Figure::lower("RSS growth, most", "MiB", mebibytes(most)),
            Figure::lower(GROWTH_RATIO, "×", most as f64 / wire as f64),
            Figure::higher("creates", "/s", creates),
        ])
    }
}

/// What a member says of its cache of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    objects: u64,
    bytes: u64,
}

impl Held {
    async fn ask(rest: &mut Rest, resource: &str) -> anyhow::Result<Self> {
        let text = rest.call(Verb::Get, path("/metrics")?, Bytes::new()).await?;
        let text = std::str::from_utf8(&text).context("the metrics are no text")?;
        ensure!(text.contains("keelson_cache_bytes"), "the members do not tell what their caches hold");
        Ok(Self {
            objects: gauge(text, "apiserver_storage_objects", resource),
            bytes: gauge(text, "keelson_cache_bytes", resource),
        })
    }
}

/// A gauge of one resource; 0 when it is not there, because there are no objects.
fn gauge(text: &str, name: &str, resource: &str) -> u64 {
    let start = format!("{name}{{resource=\"{resource}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_that_of_its_resource() {
        let text = "# TYPE some gauge\nsome{resource=\"pods\"} 7\nsome{resource=\"configmaps\"} 8\nsomething 9\n";
        assert_eq!(gauge(text, "some", "configmaps"), 8);
        assert_eq!((gauge(text, "some", "maps"), gauge(text, "other", "pods")), (0, 0));
    }
}
