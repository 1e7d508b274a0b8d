//! The shell: watches nodes and pods, drives the core and the runtime, and writes what they report.

mod environment;
mod nodes;
mod sessions;
mod usage;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use keelson_client::events::{Recorder, Type};
use keelson_client::reflector::{Cache, Change, Notice, Reflector};
use keelson_client::{Client, DeleteOptions, Key, Operation, Patch};
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_types::{Resources, meta, pods};
use parking_lot::RwLock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::{Backoff, Lifecycle};
use crate::room::Room;
use crate::runtime::{Action, ContainerId, Happened, Log, Observation, Runtime, Variable};
use crate::simulated::Simulated;
use crate::{Invalid, Options, node, tunnel, writer};

/// The longest the loop sleeps. Everything has its own wake-up; this only bounds the cost of a missed one.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest it sleeps, so that statuses gather to batches.
const GATHER: Duration = Duration::from_millis(5);
/// Containers whose environment is being resolved at once.
const RESOLVING_MAX: usize = 32;

/// Why the agent ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] Invalid),
    /// The API cannot be addressed.
    #[error(transparent)]
    Client(#[from] keelson_client::Error),
    /// A reflector ended.
    #[error("the cache of {0} ended")]
    CacheGone(&'static str),
}

/// The agent.
pub struct Service {
    options: Options,
    client: Client,
}

/// What the tunnel reads while the loop works.
type Runtimes = Arc<RwLock<Simulated>>;

struct Loop {
    client: Client,
    recorder: Recorder,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    hosted: HashSet<String>,
    /// Hosted nodes whose simulated machine has failed.
    dead: HashSet<String>,
    backoff: Backoff,
    runtime: Runtimes,
    /// By pod UID.
    running: BTreeMap<String, Lifecycle>,
    uids: HashMap<Key, String>,
    addresses: HashSet<String>,
    /// What the pods of each node have together, and which wait for more.
    room: Room,
    /// Pods whose status has changed and is not written yet.
    dirty: HashSet<String>,
    writing: JoinSet<Vec<(Written, Result<(), keelson_client::Error>)>>,
    resolving: JoinSet<(Action, Result<Vec<Variable>, String>)>,
    waiting_to_resolve: Vec<Action>,
}

/// What a write was about.
#[derive(Clone, Debug)]
enum Written {
    Status(String),
    Deletion(String),
}

impl Service {
    /// An agent that does nothing yet. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the options cannot be used.
    pub fn new(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let client = Client::connect(keelson_client::Options {
            tls: options.tls.clone(),
            field_manager: "keelson-agent".to_owned(),
            ..keelson_client::Options::new(options.endpoints.clone())
        })?;
        Ok(Self { options, client })
    }

    /// Runs the nodes until told to end. Pods stay as they are: an agent that comes back goes on with them.
    ///
    /// # Errors
    /// When a part that it depends on is gone.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { options, client } = self;
        let runtime: Runtimes = Arc::new(RwLock::new(Simulated::new(options.seed)));
        let mut tasks = JoinSet::new();
        let nodes = Reflector::<Node>::new(client.clone()).start();
        tasks.spawn(nodes::keep(client.clone(), options.clone(), nodes.clone()));
        let pods = Reflector::<Pod>::new(client.clone()).start();
        let read = log_reader(runtime.clone(), pods.clone());
        let host = tunnel::Host { read, open: sessions::opener(runtime.clone(), nodes.clone()) };
        for endpoint in &options.endpoints {
            tasks.spawn(tunnel::keep(endpoint.clone(), options.tls.clone(), options.nodes.clone(), host.clone()));
        }
        let work = Loop::new(client, options, pods, nodes, runtime);
        shutdown.run_until_cancelled(work.run()).await.unwrap_or(Ok(()))
    }
}

fn log_reader(runtime: Runtimes, pods: Cache<Pod>) -> tunnel::ReadLog {
    Arc::new(move |request: &LogsRequest, now| -> Result<Log, String> {
        let pod = pods.get(&request.namespace, &request.pod).ok_or("the pod is gone")?;
        let name = match (request.container.as_str(), pod.spec.as_ref().map(|spec| &spec.containers[..])) {
            ("", Some([only])) => only.name.clone(),
            ("", _) => return Err(format!("pod {} has several containers; name one", request.pod)),
            (name, _) => name.to_owned(),
        };
        let container = ContainerId { pod_uid: meta::uid(&*pod).to_owned(), name };
        let runtime = runtime.read();
        // While a container waits to be started again, the run before that is the one that ended last.
        let waits = request.previous && waits(&pod, &container.name);
        let ended = waits.then(|| runtime.log(&container, false, now).filter(|log| log.ended)).flatten();
        let log = ended.or_else(|| runtime.log(&container, request.previous, now));
        let which = if request.previous { "previous terminated container" } else { "container" };
        log.ok_or_else(|| format!("{which} {:?} in pod {:?} not found", container.name, request.pod))
    })
}

/// Whether a container that ran waits for its next run, by what was last told of it.
fn waits(pod: &Pod, container: &str) -> bool {
    let statuses = pod.status.iter().flat_map(|status| {
        [&status.container_statuses, &status.init_container_statuses].into_iter().flatten().flatten()
    });
    let mut own = statuses.filter(|status| status.name == container);
    own.any(|status| status.state.as_ref().is_some_and(|state| state.waiting.is_some()))
}

impl Loop {
    fn new(client: Client, options: Options, pods: Cache<Pod>, nodes: Cache<Node>, runtime: Runtimes) -> Self {
        Self {
            recorder: Recorder::start(client.clone(), "kubelet", ""),
            client,
            pods,
            nodes,
            hosted: options.nodes.into_iter().collect(),
            dead: HashSet::new(),
            backoff: Backoff { initial: options.restart_backoff, max: options.restart_backoff_max },
            runtime,
            running: BTreeMap::new(),
            uids: HashMap::new(),
            addresses: HashSet::new(),
            room: Room::default(),
            dirty: HashSet::new(),
            writing: JoinSet::new(),
            resolving: JoinSet::new(),
            waiting_to_resolve: Vec::new(),
        }
    }

    async fn run(mut self) -> Result<(), Error> {
        self.nodes.synced().await;
        let mut node_changes = self.nodes.changes();
        while let Some(notice) = node_changes.try_next() {
            self.take_node(notice);
        }
        self.pods.synced().await;
        let mut changes = self.pods.changes();
        loop {
            while let Some(notice) = changes.try_next() {
                self.take(notice);
            }
            self.take_observations();
            self.resize_freed();
            self.write_statuses();
            let pause = self.pause();
            tokio::select! {
                notice = changes.next() => self.take(notice.ok_or(Error::CacheGone("pods"))?),
                notice = node_changes.next() => self.take_node(notice.ok_or(Error::CacheGone("nodes"))?),
                Some(done) = self.writing.join_next() => match done {
                    Ok(results) => self.settle(results),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                Some(done) = self.resolving.join_next() => match done {
                    Ok((action, resolved)) => self.start(action, resolved),
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                () = tokio::time::sleep(pause) => self.step_due(),
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.room.is_freed() {
            return GATHER;
        }
        let runtime = self.runtime.read().next_at();
        let pods = self.running.values().filter_map(Lifecycle::next_at).min();
        let next = [runtime, pods].into_iter().flatten().min();
        let until = next.map_or(SWEEP_INTERVAL, |at| {
            Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO)
        });
        until.clamp(GATHER, SWEEP_INTERVAL)
    }

    fn take(&mut self, notice: Notice<Pod>) {
        match notice {
            Notice::Change(Change { key, new, .. }) => self.set(&key, new),
            Notice::Resync => {
                let gone: Vec<Key> = self.uids.keys().filter(|key| self.pods.get_key(key).is_none()).cloned().collect();
                for key in gone {
                    self.set(&key, None);
                }
                for pod in self.pods.list() {
                    self.set(&Key::of(&*pod), Some(pod));
                }
            }
        }
    }

    fn take_node(&mut self, notice: Notice<Node>) {
        let names = match notice {
            Notice::Change(change) => vec![change.key.name],
            Notice::Resync => self.hosted.iter().cloned().collect(),
        };
        for name in names {
            if !self.hosted.contains(&name) {
                continue;
            }
            let node = self.nodes.get("", &name);
            self.set_allocatable(&name, node.as_deref());
            let dead = node.is_some_and(|node| node::is_dead(&node));
            let changed = if dead { self.dead.insert(name.clone()) } else { self.dead.remove(&name) };
            if changed {
                tracing::info!(node = name, dead, "the simulated machine changed");
                let pods = self.pods.list();
                for pod in pods.into_iter().filter(|pod| pods::node_name(pod) == name) {
                    self.set(&Key::of(&*pod), Some(pod));
                }
            }
        }
    }

    fn set_allocatable(&mut self, name: &str, node: Option<&Node>) {
        let allocatable = node.map(|node| node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
        self.room.set_allocatable(name, allocatable.map(Resources::of));
    }

    fn set(&mut self, key: &Key, pod: Option<Arc<Pod>>) {
        let here = |name: &str| self.hosted.contains(name) && !self.dead.contains(name);
        let pod = pod.filter(|pod| here(pods::node_name(pod)));
        let uid = pod.as_ref().map(|pod| meta::uid(&**pod).to_owned());
        if let Some(known) = self.uids.get(key).cloned()
            && Some(&known) != uid.as_ref()
        {
            self.forget(key, &known);
        }
        let (Some(pod), Some(uid)) = (pod, uid) else { return };
        if let Some(lifecycle) = self.running.get_mut(&uid) {
            if lifecycle.update(pod) {
                self.dirty.insert(uid.clone());
            }
        } else if !pods::is_terminal(&pod) || meta::is_deleting(&*pod) {
            let host_ip = node::internal_ip(pods::node_name(&pod)).to_string();
            let address = self.address(&pod);
            let lifecycle = Lifecycle::new(pod, address, host_ip, self.backoff, Timestamp::now());
            for action in lifecycle.adopt() {
                self.runtime.write().act(action, Timestamp::now());
            }
            self.uids.insert(key.clone(), uid.clone());
            self.running.insert(uid.clone(), lifecycle);
            self.dirty.insert(uid.clone());
        }
        self.count(&uid);
        self.step(&uid);
    }

    /// Counts what a pod has of its node.
    fn count(&mut self, uid: &str) {
        if let Some(lifecycle) = self.running.get(uid) {
            self.room.set(uid, pods::node_name(lifecycle.pod()), lifecycle.taken());
        }
    }

    /// The address that the pod has already, or one that no other pod of this process has.
    fn address(&mut self, pod: &Pod) -> String {
        let present = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let address = present.unwrap_or_else(|| {
            let mut free = (0_u32..).map(|attempt| node::pod_ip(meta::uid(pod), attempt).to_string());
            free.find(|address| !self.addresses.contains(address)).unwrap_or_default()
        });
        self.addresses.insert(address.clone());
        address
    }

    fn forget(&mut self, key: &Key, uid: &str) {
        if let Some(lifecycle) = self.running.remove(uid)
            && let Some(address) = lifecycle.status(Timestamp::now()).pod_ip
        {
            self.addresses.remove(&address);
        }
        self.uids.remove(key);
        self.room.remove(uid);
        self.dirty.remove(uid);
        self.runtime.write().act(Action::Remove { pod_uid: uid.to_owned() }, Timestamp::now());
    }

    fn step_due(&mut self) {
        let now = Timestamp::now();
        let due: Vec<String> = self
            .running
            .iter()
            .filter(|(_, lifecycle)| lifecycle.next_at().is_some_and(|at| at <= now))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in due {
            self.step(&uid);
        }
    }

    fn step(&mut self, uid: &str) {
        let now = Timestamp::now();
        let Some(lifecycle) = self.running.get_mut(uid) else { return };
        let mut actions = lifecycle.step(now);
        let wants = !meta::is_deleting(&**lifecycle.pod()) && !lifecycle.is_over() && lifecycle.wants_resize();
        if wants {
            actions.extend(self.resize(uid));
        } else {
            self.room.set_waiting(uid, false);
        }
        let Some(lifecycle) = self.running.get(uid) else { return };
        if !actions.is_empty() || lifecycle.is_gone() {
            self.dirty.insert(uid.to_owned());
        }
        for action in actions {
            match action {
                Action::Start { .. } => self.waiting_to_resolve.push(action),
                other => self.runtime.write().act(other, now),
            }
        }
        self.resolve();
    }

    /// Gives a pod the resources that it asks for, if its node has them beside what the others on it have.
    fn resize(&mut self, uid: &str) -> Vec<Action> {
        let Some(lifecycle) = self.running.get_mut(uid) else { return Vec::new() };
        let Some((allocatable, others)) = self.room.beside(uid) else {
            // Its node is not known yet.
            self.room.set_waiting(uid, true);
            return Vec::new();
        };
        let resized = lifecycle.resize(&allocatable, &others);
        self.room.set_waiting(uid, lifecycle.wants_resize());
        self.count(uid);
        if resized.is_some() {
            self.dirty.insert(uid.to_owned());
        }
        resized.unwrap_or_default()
    }

    /// Where pods have gone or ended, take less, or the node has changed, others may now have what they wait for.
    fn resize_freed(&mut self) {
        for uid in self.room.take_freed() {
            self.step(&uid);
        }
    }

    /// Starts containers whose environment needs nothing at once, and asks the API for the others.
    fn resolve(&mut self) {
        for action in std::mem::take(&mut self.waiting_to_resolve) {
            let Action::Start { container, pod, .. } = &action else { continue };
            if !environment::needs_lookup(pod, &container.name) {
                let plain = environment::literal(pod, &container.name);
                self.start(action, Ok(plain));
            } else if self.resolving.len() < RESOLVING_MAX {
                let (client, pod, name) = (self.client.clone(), pod.clone(), container.name.clone());
                self.resolving.spawn(async move {
                    let resolved = environment::resolve(&client, &pod, &name).await;
                    (action, resolved)
                });
            } else {
                self.waiting_to_resolve.push(action);
            }
        }
    }

    fn start(&mut self, action: Action, resolved: Result<Vec<Variable>, String>) {
        let now = Timestamp::now();
        let Action::Start { container, pod, .. } = action else { return };
        // It may have been deleted or have ended while its environment was looked up.
        let wanted = self
            .running
            .get(&container.pod_uid)
            .is_some_and(|lifecycle| !meta::is_deleting(&**lifecycle.pod()) && !lifecycle.is_over());
        match resolved {
            Ok(environment) if wanted => {
                self.runtime.write().act(Action::Start { container, pod, environment }, now);
            }
            Ok(_) => {
                let what = Happened::Exited { code: 0, reason: "Completed".to_owned() };
                self.observe(&Observation { container, at: now, what });
            }
            Err(message) => {
                let what = Happened::NotStarted { reason: "CreateContainerConfigError".to_owned(), message };
                self.observe(&Observation { container, at: now, what });
            }
        }
        self.resolve();
    }

    fn take_observations(&mut self) {
        let observations = self.runtime.write().poll(Timestamp::now());
        for observation in observations {
            self.observe(&observation);
        }
    }

    fn observe(&mut self, observation: &Observation) {
        let uid = &observation.container.pod_uid;
        let Some(lifecycle) = self.running.get_mut(uid) else { return };
        if let Some(note) = lifecycle.observe(observation) {
            let kind = if note.warning { Type::Warning } else { Type::Normal };
            self.recorder.event(&**lifecycle.pod(), kind, note.reason, note.message);
        }
        self.dirty.insert(uid.clone());
        self.step(&uid.clone());
    }

    /// Writes all changed statuses in one batch, unless one is under way; what changes meanwhile goes with the next.
    fn write_statuses(&mut self) {
        if self.dirty.is_empty() || !self.writing.is_empty() {
            return;
        }
        let now = Timestamp::now();
        let mut operations = Vec::new();
        for uid in self.dirty.drain() {
            let Some(lifecycle) = self.running.get(&uid) else { continue };
            let pod = lifecycle.pod();
            let (namespace, name) = (meta::namespace(&**pod), meta::name(&**pod));
            if lifecycle.is_gone() {
                let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(uid.clone()) };
                operations.push((Written::Deletion(uid), Operation::delete::<Pod>(namespace, name, &options)));
                continue;
            }
            // The UID keeps the status off a pod of the same name that came after.
            let patch = Patch::Strategic(lifecycle.status_patch(now));
            match Operation::patch_status::<Pod>(namespace, name, &patch) {
                Ok(operation) => operations.push((Written::Status(uid), operation)),
                Err(error) => tracing::error!(pod = name, error = %error, "a status has no JSON form"),
            }
        }
        if operations.is_empty() {
            return;
        }
        let client = self.client.clone();
        self.writing.spawn(async move {
            let (written, operations): (Vec<_>, Vec<_>) = operations.into_iter().unzip();
            written.into_iter().zip(writer::write(&client, operations).await).collect()
        });
    }

    fn settle(&mut self, results: Vec<(Written, Result<(), keelson_client::Error>)>) {
        for (written, result) in results {
            let Err(error) = result else { continue };
            let (Written::Status(uid) | Written::Deletion(uid)) = &written;
            // Gone, or another pod took the name: the cache tells.
            if error.is_not_found() || error.is_conflict() || !self.running.contains_key(uid) {
                continue;
            }
            tracing::warn!(?written, error = &error as &dyn std::error::Error, "not written; trying again");
            self.dirty.insert(uid.clone());
        }
    }
}

#[cfg(test)]
mod tests;
