//! Writers that never stop: each puts one new key after another, through whichever member answers, and remembers what was
//! acknowledged. Afterwards every acknowledged write must be there, at the revision that was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest, RangeResponse};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, LOOK_INTERVAL};

/// How long a writer waits for one answer before it asks the next member.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause of one writer after a failure, so that a cluster without a leader is not flooded.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);
/// How long acknowledged writes may stay away before a scenario fails.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(120);
/// Keys that one range request asks for when the writes are checked.
const PAGE_KEYS: i64 = 5_000;
/// All keys of all writers begin so.
const PREFIX: &str = "/writers/";

/// An acknowledged write: its key (which is its value too) and the revision in the answer.
type Acknowledged = (String, i64);

/// Running writers.
pub struct Writers {
    stop: CancellationToken,
    tasks: JoinSet<Vec<Acknowledged>>,
    acknowledged: Arc<AtomicU64>,
}

impl Writers {
    /// Starts `count` writers, the first of which begins with the first member, and so on in a ring.
    #[must_use]
    pub fn start(cluster: &Cluster, count: usize) -> Self {
        let stop = CancellationToken::new();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for writer in 0..count {
            let members = (0..cluster.spec().members).map(|index| cluster.kv(index)).collect();
            tasks.spawn(write(writer, members, stop.clone(), acknowledged.clone()));
        }
        Self { stop, tasks, acknowledged }
    }

    /// How many writes are acknowledged by now.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `more` further writes are acknowledged.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn accepted(&self, more: u64) -> anyhow::Result<()> {
        let wanted = self.acknowledged() + more;
        let deadline = Instant::now() + ACCEPTED_WITHIN;
        while self.acknowledged() < wanted {
            ensure!(Instant::now() < deadline, "writes are not accepted");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Stops the writers, and looks for everything that was acknowledged. Returns how many writes that were.
    ///
    /// # Errors
    /// When an acknowledged write is missing or stands at another revision.
    pub async fn check(mut self, cluster: &Cluster) -> anyhow::Result<usize> {
        self.stop.cancel();
        let mut acknowledged = Vec::new();
        while let Some(writer) = self.tasks.join_next().await {
            acknowledged.extend(writer.context("a writer panicked")?);
        }
        ensure!(!acknowledged.is_empty(), "nothing was acknowledged, so nothing is proved");
        let found = everything(cluster).await?;
        compare(&acknowledged, &found)?;
        Ok(acknowledged.len())
    }
}

/// What is wrong with `found`, given what was acknowledged.
fn compare(acknowledged: &[Acknowledged], found: &BTreeMap<String, i64>) -> anyhow::Result<()> {
    let wrong: Vec<String> = acknowledged
        .iter()
        .filter_map(|(key, revision)| match found.get(key) {
            None => Some(format!("{key} of revision {revision} is missing")),
            Some(other) if other != revision => Some(format!("{key} of revision {revision} stands at {other}")),
            Some(_) => None,
        })
        .collect();
    if !wrong.is_empty() {
        let first = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        bail!("{} of {} acknowledged writes are wrong:\n{first}", wrong.len(), acknowledged.len());
    }
    Ok(())
}

/// Every key of the writers with its modification revision, read linearizably and in pages at one revision.
async fn everything(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut found = BTreeMap::new();
    let mut request = RangeRequest {
        key: PREFIX.into(),
        // The byte after '/' ends the prefix.
        range_end: "/writers0".into(),
        limit: PAGE_KEYS,
        ..RangeRequest::default()
    };
    loop {
        let page = page(cluster, &request).await?;
        for kv in &page.kvs {
            let key = String::from_utf8_lossy(&kv.key).into_owned();
            ensure!(kv.value == kv.key, "{key} has another value");
            found.insert(key, kv.mod_revision);
        }
        let Some(last) = page.kvs.last().filter(|_| page.more) else { return Ok(found) };
        request.key = [&last.key[..], b"\0"].concat().into();
        request.revision = page.header.context("a header")?.revision;
    }
}

/// What the leader answers, whoever that is by then.
async fn page(cluster: &Cluster, request: &RangeRequest) -> anyhow::Result<RangeResponse> {
    let deadline = Instant::now() + ACCEPTED_WITHIN;
    loop {
        match cluster.kv(cluster.leader().await?).range(request.clone()).await {
            Ok(page) => return Ok(page.into_inner()),
            Err(status) if Instant::now() > deadline => return Err(status.into()),
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}

async fn write(
    writer: usize,
    mut members: Vec<keelson_proto::etcdserverpb::kv_client::KvClient<tonic::transport::Channel>>,
    stop: CancellationToken,
    count: Arc<AtomicU64>,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let mut member = writer % members.len();
    for sequence in 0_u64.. {
        if stop.is_cancelled() {
            break;
        }
        let key = format!("{PREFIX}{writer}/{sequence:08}");
        let request = PutRequest { key: key.clone().into(), value: key.clone().into(), ..PutRequest::default() };
        match tokio::time::timeout(ATTEMPT_TIMEOUT, members[member].put(request)).await {
            Ok(Ok(answer)) => {
                let revision = answer.into_inner().header.map_or(0, |header| header.revision);
                acknowledged.push((key, revision));
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Unknown whether it was done. The key is never written again, so it proves nothing either way.
            Ok(Err(_)) | Err(_) => {
                member = (member + 1) % members.len();
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
    acknowledged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_moved_write_is_seen() {
        let acknowledged = vec![("a".to_owned(), 2), ("b".to_owned(), 3)];
        let found =
            |entries: &[(&str, i64)]| entries.iter().map(|(key, revision)| ((*key).to_owned(), *revision)).collect();
        assert!(compare(&acknowledged, &found(&[("a", 2), ("b", 3), ("unknown", 4)])).is_ok());
        assert!(compare(&acknowledged, &found(&[("a", 2)])).is_err());
        assert!(compare(&acknowledged, &found(&[("a", 2), ("b", 4)])).is_err());
    }
}
