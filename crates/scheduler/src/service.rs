//! The shell: feeds the core from the caches, writes what it decides, and starts anew with every term that this member leads.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use keelson_client::events::{Recorder, Type, reference};
use keelson_client::reflector::{Cache, Change, Changes, Notice};
use keelson_client::{Client, Key, ListOptions, Operation, Patch};
use keelson_types::{Leadership, pods};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::cluster::Cluster;
use crate::decide::{Decision, decide};
use crate::plugins::Event;
use crate::pod::PodInfo;
use crate::queue::{Queue, Taken};

/// Pods decided about at once. A batch of bindings is one log entry of about 100 bytes a pod.
const BATCH_MAX: usize = 1_000;
/// Batches of bindings under way. More would decide on a picture that is mostly assumption.
const BINDINGS_MAX: usize = 4;
/// Changes taken over before the scheduler decides again, so that a flood of them does not starve decisions.
const CHANGES_MAX: usize = 10_000;
/// How long a new leader waits for its caches to show what the one before it wrote. They follow the member's own store within
/// milliseconds; should one hang, acting on what is known is better than not acting, because the API guards every binding.
const CATCH_UP_MAX: Duration = Duration::from_millis(250);
/// How often parked pods are looked at without any other reason.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// Why the scheduler ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever tells about leadership is gone.
    #[error("nobody tells the scheduler who leads any more")]
    LeadershipGone,
    /// A reflector ended.
    #[error("the cache of {0} ended")]
    CacheGone(&'static str),
}

/// The scheduler.
pub struct Service {
    options: Options,
}

/// Everything that the loop keeps.
struct Loop {
    options: Options,
    node_changes: Changes<Node>,
    pod_changes: Changes<Pod>,
    cluster: Cluster,
    queue: Queue,
    recorder: Recorder,
    started: Instant,
    bindings: JoinSet<Vec<Bound>>,
    /// The fenced client of the present term, while leading.
    leading: Option<Client>,
    round: u64,
}

/// What became of one decision.
struct Bound {
    taken: Taken,
    node: String,
    result: Result<(), keelson_client::Error>,
}

impl Service {
    /// A scheduler that does nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Watches the cluster, and schedules while this member leads, until told to end. Bindings under way are left to the API,
    /// which does each of them wholly or not at all.
    ///
    /// # Errors
    /// When a part that it depends on is gone.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Options { client, nodes, pods, .. } = &self.options;
        let synced = async {
            nodes.synced().await;
            pods.synced().await;
        };
        if shutdown.run_until_cancelled(synced).await.is_none() {
            return Ok(());
        }
        let (node_changes, pod_changes) = (nodes.changes(), pods.changes());
        let work = Loop {
            recorder: Recorder::start(client.clone(), &self.options.scheduler_name, ""),
            options: self.options,
            node_changes,
            pod_changes,
            cluster: Cluster::default(),
            queue: Queue::default(),
            started: Instant::now(),
            bindings: JoinSet::new(),
            leading: None,
            round: 0,
        };
        shutdown.run_until_cancelled(work.run()).await.unwrap_or(Ok(()))
    }
}

impl Loop {
    async fn run(mut self) -> Result<(), Error> {
        let mut leadership = self.options.leadership.clone();
        leadership.mark_changed();
        loop {
            self.take_over_changes();
            self.queue.advance(self.now());
            if self.leading.is_some() && self.queue.has_active() && self.bindings.len() < BINDINGS_MAX {
                self.decide_and_bind();
                continue;
            }
            let pause = self.queue.next_deadline().map_or(SWEEP_INTERVAL, |at| at.saturating_sub(self.now()));
            tokio::select! {
                changed = leadership.changed() => {
                    changed.map_err(|_| Error::LeadershipGone)?;
                    let now = *leadership.borrow_and_update();
                    self.follow(now).await;
                }
                notice = self.node_changes.next() => {
                    let notice = notice.ok_or(Error::CacheGone("nodes"))?;
                    self.take_node(notice);
                }
                notice = self.pod_changes.next() => {
                    let notice = notice.ok_or(Error::CacheGone("pods"))?;
                    self.take_pod(notice);
                }
                Some(done) = self.bindings.join_next() => match done {
                    Ok(bound) => self.settle(bound),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = tokio::time::sleep(pause.min(SWEEP_INTERVAL)) => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Starts or ends a term. What was assumed in an earlier term counts for nothing: its outcome shows in the cache.
    async fn follow(&mut self, leadership: Leadership) {
        self.leading = None;
        self.bindings.abort_all();
        while self.bindings.join_next().await.is_some() {}
        self.cluster.forget_all();
        if leadership.leading {
            let client = self.options.client.with_fence(leadership.term);
            let options = ListOptions { limit: 1, ..ListOptions::default() };
            let caught_up = async {
                if let Ok(latest) = client.list::<Node>("", &options).await {
                    let revision = latest.resource_version.parse().unwrap_or(0);
                    self.options.nodes.reached(revision).await;
                    self.options.pods.reached(revision).await;
                }
            };
            // Not in time is no error: see CATCH_UP_MAX. The read is bounded too: just after an election it may take the
            // client a while to find a member that answers.
            let _ = tokio::time::timeout(CATCH_UP_MAX, caught_up).await;
            self.leading = Some(client);
            tracing::info!(term = leadership.term, "scheduling");
        }
        // Pods whose bindings were cut off are in no queue; the cache knows which still wait.
        self.look_at_all_pods();
    }

    fn take_over_changes(&mut self) {
        for _ in 0..CHANGES_MAX {
            let Some(notice) = self.node_changes.try_next() else { break };
            self.take_node(notice);
        }
        for _ in 0..CHANGES_MAX {
            let Some(notice) = self.pod_changes.try_next() else { break };
            self.take_pod(notice);
        }
    }

    fn take_node(&mut self, notice: Notice<Node>) {
        let helps = match notice {
            Notice::Change(Change { new: Some(node), .. }) => self.cluster.set_node(&node),
            Notice::Change(Change { key, new: None, .. }) => {
                self.cluster.remove_node(&key.name);
                false
            }
            Notice::Resync => {
                let nodes = self.options.nodes.list();
                let present: BTreeSet<&str> = nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
                let gone = self.cluster.snapshot().into_iter().filter(|info| !present.contains(info.name.as_str()));
                for info in gone.collect::<Vec<_>>() {
                    self.cluster.remove_node(&info.name);
                }
                for node in &nodes {
                    self.cluster.set_node(node);
                }
                true
            }
        };
        if helps {
            self.queue.happened(Event::Node, self.now());
        }
    }

    fn take_pod(&mut self, notice: Notice<Pod>) {
        match notice {
            Notice::Change(Change { key, new, .. }) => self.set_pod(key, new),
            Notice::Resync => {
                // What is counted and no longer there shows as a difference of the keys.
                let present: std::collections::HashSet<Key> = self.options.pods.keys().into_iter().collect();
                for key in self.cluster.pods().filter(|key| !present.contains(key)).collect::<Vec<_>>() {
                    self.set_pod(key, None);
                }
                self.look_at_all_pods();
            }
        }
    }

    fn look_at_all_pods(&mut self) {
        for pod in self.options.pods.list() {
            self.set_pod(Key::of(&*pod), Some(pod));
        }
    }

    fn set_pod(&mut self, key: Key, pod: Option<Arc<Pod>>) {
        let gone = pod.as_ref().is_none_or(|pod| pods::is_terminal(pod));
        let Some(pod) = pod.filter(|_| !gone) else {
            self.queue.remove(&key);
            if self.cluster.remove_pod(&key) {
                self.queue.happened(Event::PodGone, self.now());
            }
            return;
        };
        let info = PodInfo::of(&pod);
        if !info.node_name.is_empty() {
            self.queue.remove(&key);
            if self.cluster.set_bound(&info) {
                self.queue.happened(Event::PodGone, self.now());
            }
        } else if !self.cluster.is_assumed(&info) {
            let scheduler = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
            let own = scheduler.is_none_or(|name| name == self.options.scheduler_name);
            if own && pod.metadata.deletion_timestamp.is_none() && !is_gated(&pod) {
                self.queue.set(info);
            } else {
                self.queue.remove(&key);
            }
        }
    }

    fn decide_and_bind(&mut self) {
        let Some(client) = self.leading.clone() else { return };
        let taken = self.queue.take(BATCH_MAX);
        let mut attempts: HashMap<Key, u32> =
            taken.iter().map(|taken| (taken.pod.key.clone(), taken.attempts)).collect();
        self.round += 1;
        let pods = taken.into_iter().map(|taken| taken.pod).collect();
        let decisions = decide(&mut self.cluster, pods, self.options.seed.wrapping_add(self.round));
        let (mut placed, mut refused) = (Vec::new(), Vec::new());
        for decision in decisions {
            let (Decision::Place { pod, .. } | Decision::Reject { pod, .. }) = &decision;
            let attempts = attempts.remove(&pod.key).unwrap_or(1);
            match decision {
                Decision::Place { pod, node } => placed.push((Taken { pod, attempts }, node)),
                Decision::Reject { pod, refusal } => {
                    refused.push((pod.key.clone(), refusal.message));
                    self.queue.park(Taken { pod, attempts }, refusal.helped_by, self.now());
                }
            }
        }
        self.tell_refused(&client, refused);
        if !placed.is_empty() {
            self.bindings.spawn(bind(client, placed));
        }
    }

    /// Says in the pod's condition and in an event why it has no node, once for each new reason.
    fn tell_refused(&mut self, client: &Client, refused: Vec<(Key, String)>) {
        let mut operations = Vec::new();
        for (key, message) in refused {
            let Some(pod) = self.options.pods.get_key(&key) else { continue };
            let told = pods::condition(&pod, "PodScheduled");
            if told.is_some_and(|told| told.status == "False" && told.message.as_deref() == Some(&message)) {
                continue;
            }
            self.recorder.event(&*pod, Type::Warning, "FailedScheduling", message.clone());
            let condition =
                json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            match Operation::patch_status::<Pod>(&key.namespace, &key.name, &patch) {
                Ok(operation) => operations.push(operation),
                Err(error) => tracing::error!(pod = %key, error = %error, "a condition has no JSON form"),
            }
        }
        if operations.is_empty() {
            return;
        }
        let client = client.clone();
        self.bindings.spawn(async move {
            for operation in write_together_or_singly(&client, operations).await {
                if let Err(error) = operation
                    && !error.is_not_found()
                    && !error.is_fenced()
                {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a pod's condition was not written");
                }
            }
            Vec::new()
        });
    }

    /// Bindings were answered: tells about those that were made, and tries the others again.
    fn settle(&mut self, bound: Vec<Bound>) {
        for Bound { taken, node, result } in bound {
            let key = &taken.pod.key;
            match result {
                Ok(()) => {
                    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
                    self.recorder.event_for(
                        reference_of(&self.options.pods, &taken.pod),
                        Type::Normal,
                        "Scheduled",
                        message,
                    );
                }
                // The pod is gone, or somebody else has bound it: the cache tells, or has told.
                Err(error) if error.is_not_found() || error.is_conflict() => {
                    self.cluster.forget(key);
                    let pod = self.options.pods.get_key(key);
                    self.set_pod(taken.pod.key.clone(), pod);
                }
                Err(error) if error.is_fenced() => self.cluster.forget(key),
                Err(error) => {
                    tracing::warn!(pod = %key, node, error = &error as &dyn std::error::Error, "not bound");
                    self.cluster.forget(key);
                    let now = self.now();
                    self.queue.back_off(taken, now);
                }
            }
        }
    }
}

/// A pod with scheduling gates is not to be looked at yet.
fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| !gates.is_empty())
}

fn reference_of(pods: &Cache<Pod>, pod: &PodInfo) -> ObjectReference {
    pods.get_key(&pod.key).map_or_else(
        || ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.key.namespace.clone()),
            name: Some(pod.key.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        },
        |pod| reference(&*pod),
    )
}

async fn bind(client: Client, placed: Vec<(Taken, String)>) -> Vec<Bound> {
    let operations = placed
        .iter()
        .map(|(Taken { pod, .. }, node)| Operation::bind(&pod.key.namespace, &pod.key.name, &pod.uid, node))
        .collect();
    let results = write_together_or_singly(&client, operations).await;
    placed.into_iter().zip(results).map(|((taken, node), result)| Bound { taken, node, result }).collect()
}

/// Writes everything in one log entry; when that is refused because of one of them, each by itself.
async fn write_together_or_singly(
    client: &Client,
    operations: Vec<Operation>,
) -> Vec<Result<(), keelson_client::Error>> {
    let count = operations.len();
    if count > 1 {
        match client.write(operations.clone()).await {
            Ok(_) => return (0..count).map(|_| Ok(())).collect(),
            Err(error) if error.is_fenced() => tracing::debug!("a batch was fenced off"),
            Err(error) => tracing::debug!(count, error = %error, "a batch was not written; trying each by itself"),
        }
    }
    let mut results = Vec::with_capacity(count);
    for operation in operations {
        results.push(client.write(vec![operation]).await.map(drop));
    }
    results
}
