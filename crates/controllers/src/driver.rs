//! Runs one controller: signals, queue, back-off, resync, leadership, execution, counters.
//!
//! Signals are collected on every member, so that what a controller observes from them is warm everywhere; keys are queued
//! and plans made only while this member leads. On loss of leadership the workers are dropped at once: what they had under
//! way is fenced by its term, and the next leader looks at every key.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use keelson_client::backoff::Backoff;
use keelson_client::events::Recorder;
use keelson_client::queue::{CAPACITY, WorkQueue};
use keelson_client::reflector::{Cache, Change, Notice};
use keelson_client::{Client, Error, Operation, Raw, Resource};
use keelson_types::{Leadership, Object};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::metrics::Metrics;
use crate::plan::{Plan, Write};

/// Failed keys come back within half a minute however often they failed, so that a healed cluster heals soon.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(30));
/// How long a worker waits for the caches to show its key's last write before it turns to another key.
const BARRIER_WAIT: Duration = Duration::from_millis(200);

/// A controller, as the driver sees it.
pub(crate) trait Controller: Send + Sync + Sized + 'static {
    type Key: Clone + Eq + Hash + Display + Send + Sync + 'static;
    const NAME: &'static str;

    /// Says which changes concern which keys.
    fn signals(self: &Arc<Self>, signals: &mut Signals<Self::Key>);

    /// Every key there is, for a new leader and for resyncs.
    fn keys(&self) -> Vec<Self::Key>;

    /// Takes a snapshot and plans. Cheap and repeatable: it writes nothing.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Plan, Error>> + Send;
}

/// What all controllers share.
#[derive(Clone)]
pub(crate) struct Environment {
    pub client: Client,
    pub leadership: watch::Receiver<Leadership>,
    pub caches: Caches,
    pub recorder: Recorder,
    pub workers: usize,
    pub resync: Duration,
}

/// Where signals go: the queue of the current term, or nowhere while another member leads.
struct Inbox<K> {
    queue: Mutex<Option<WorkQueue<K>>>,
    lost: Notify,
}

/// Collects what a controller wants to hear of.
pub(crate) struct Signals<K> {
    inbox: Arc<Inbox<K>>,
    tasks: JoinSet<()>,
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Signals<K> {
    /// `keys` says which keys a change concerns; it runs on every member, leading or not.
    pub fn on<T: Object>(&mut self, cache: &Cache<T>, keys: impl Fn(&Change<T>) -> Vec<K> + Send + 'static) {
        self.tasks.spawn(self.later().on(cache, keys));
    }

    /// For what comes when the controller runs already.
    pub fn later(&self) -> Later<K> {
        Later(self.inbox.clone())
    }

    /// Runs `task` as long as the controller.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Looks at every key this often, besides the resync.
    pub fn every(&mut self, period: Duration) {
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(period.max(Duration::from_millis(10)));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                inbox.lost.notify_one();
            }
        });
    }
}

/// Takes signals of caches that come and go.
pub(crate) struct Later<K>(Arc<Inbox<K>>);

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Later<K> {
    /// As [`Signals::on`], for whoever runs what is returned; it ends with the cache.
    pub fn on<T: Object, F: Fn(&Change<T>) -> Vec<K> + Send + 'static>(
        &self,
        cache: &Cache<T>,
        keys: F,
    ) -> impl Future<Output = ()> + Send + use<K, T, F> + 'static {
        let inbox = self.0.clone();
        let mut changes = cache.changes();
        async move {
            while let Some(notice) = changes.next().await {
                match notice {
                    Notice::Change(change) => {
                        let keys = keys(&change);
                        if let Some(queue) = &*inbox.queue.lock() {
                            for key in keys {
                                queue.add(key);
                            }
                        }
                    }
                    Notice::Resync => inbox.lost.notify_one(),
                }
            }
        }
    }
}

/// Runs `controller` until `shutdown`.
pub(crate) async fn drive<C: Controller>(
    controller: Arc<C>,
    environment: Environment,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let inbox = Arc::new(Inbox { queue: Mutex::new(None), lost: Notify::new() });
    let mut signals = Signals { inbox: inbox.clone(), tasks: JoinSet::new() };
    controller.signals(&mut signals);
    let mut leadership = environment.leadership.clone();
    tokio::select! {
        () = shutdown.cancelled() => return,
        () = environment.caches.synced() => {}
    }
    loop {
        let leading = tokio::select! {
            () = shutdown.cancelled() => return,
            leading = leadership.wait_for(|now| now.leading) => match leading {
                Ok(leading) => *leading,
                Err(_) => return,
            },
        };
        tracing::info!(controller = C::NAME, term = leading.term, "controller leads");
        let term = Term {
            controller: controller.clone(),
            client: environment.client.with_fence(leading.term),
            environment: environment.clone(),
            queue: WorkQueue::with_limits(CAPACITY, BACKOFF),
            barriers: Mutex::new(HashMap::new()),
            metrics: metrics.clone(),
        };
        // The queue is there before every key is added, so that no signal falls between.
        *inbox.queue.lock() = Some(term.queue.clone());
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = leadership.wait_for(|now| !now.leading || now.term != leading.term) => {
                if ended.is_err() {
                    return;
                }
            }
            () = term.run(&inbox) => {}
        }
        *inbox.queue.lock() = None;
    }
}

/// One controller while it leads in one term.
struct Term<C: Controller> {
    controller: Arc<C>,
    client: Client,
    environment: Environment,
    queue: WorkQueue<C::Key>,
    /// The revision that the caches of these kinds must have before the key is planned again.
    barriers: Mutex<HashMap<C::Key, Barrier>>,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct Barrier {
    revision: i64,
    resources: Vec<Resource>,
}

/// Why a plan was not executed.
enum Failure {
    /// Something changed meanwhile; the next snapshot decides.
    Conflict(Error),
    Failed(Error),
}

impl<C: Controller> Term<C> {
    /// Workers and the resync, until dropped.
    async fn run(&self, inbox: &Inbox<C::Key>) {
        let workers = futures::future::join_all((0..self.environment.workers.max(1)).map(|_| self.work()));
        let resync = async {
            let mut ticks = tokio::time::interval(self.environment.resync.max(Duration::from_secs(1)));
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = inbox.lost.notified() => {}
                }
                for key in self.controller.keys() {
                    self.queue.add(key);
                }
            }
        };
        tokio::select! {
            _ = workers => {}
            () = resync => {}
        }
    }

    async fn work(&self) {
        while let Some(key) = self.queue.next().await {
            if self.barrier_reached(&key).await {
                match self.process(&key).await {
                    Ok(again) => {
                        self.queue.forget(&key);
                        if let Some(delay) = again {
                            self.queue.add_after(key.clone(), delay);
                        }
                    }
                    Err(failure) => {
                        let delay = self.queue.add_rate_limited(key.clone());
                        self.report(&key, &failure, delay);
                    }
                }
            } else {
                self.queue.add_after(key.clone(), BARRIER_WAIT);
            }
            self.queue.done(&key);
        }
    }

    fn report(&self, key: &C::Key, failure: &Failure, delay: Duration) {
        let controller = C::NAME;
        let retry_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        match failure {
            Failure::Conflict(error) => {
                self.metrics.conflicted();
                tracing::debug!(controller, %key, %error, retry_ms, "something changed meanwhile");
            }
            Failure::Failed(error) if error.is_fenced() => {
                tracing::debug!(controller, %key, "no longer leads in this term");
            }
            Failure::Failed(error) => {
                self.metrics.failed();
                let error = error as &dyn std::error::Error;
                tracing::warn!(controller, %key, error, retry_ms, "plan not executed");
            }
        }
    }

    /// Whether the caches show the last write that was made for `key`.
    async fn barrier_reached(&self, key: &C::Key) -> bool {
        let Some(barrier) = self.barriers.lock().get(key).cloned() else { return true };
        let all = async {
            for cache in barrier.resources.iter().filter_map(|resource| self.environment.caches.of(resource)) {
                cache.reached(barrier.revision).await;
            }
        };
        let reached = tokio::time::timeout(BARRIER_WAIT, all).await.is_ok();
        if reached {
            self.barriers.lock().remove(key);
        }
        reached
    }

    async fn process(&self, key: &C::Key) -> Result<Option<Duration>, Failure> {
        let plan = self.controller.reconcile(key).await.map_err(Failure::Failed)?;
        self.metrics.planned();
        if plan.is_nothing() {
            tracing::trace!(controller = C::NAME, %key, %plan, "planned");
        } else {
            tracing::debug!(controller = C::NAME, %key, %plan, "planned");
        }
        self.execute(key, &plan).await?;
        Ok(plan.requeue_after)
    }

    async fn execute(&self, key: &C::Key, plan: &Plan) -> Result<(), Failure> {
        if !plan.writes.is_empty() {
            let revision = match self.write(plan).await {
                Ok(revision) => revision,
                Err(error) => {
                    if let (Some(note), Some(_)) = (&plan.on_refusal, error.status().filter(|_| !is_conflict(&error))) {
                        let message = format!("{}{error}", note.message);
                        self.environment.recorder.event_for(note.object.clone(), note.r#type(), note.reason, message);
                    }
                    return Err(if is_conflict(&error) { Failure::Conflict(error) } else { Failure::Failed(error) });
                }
            };
            self.metrics.executed(plan.writes.len());
            if let Some(revision) = revision {
                let mut resources: Vec<_> = plan.writes.iter().map(|write| write.name().resource).collect();
                resources.sort();
                resources.dedup();
                let behind = resources.iter().any(|resource| {
                    self.environment.caches.of(resource).is_some_and(|cache| !cache.has_reached(revision))
                });
                if behind {
                    self.barriers.lock().insert(key.clone(), Barrier { revision, resources });
                }
            }
        }
        for note in &plan.notes {
            self.environment.recorder.event_for(note.object.clone(), note.r#type(), note.reason, note.message.clone());
        }
        Ok(())
    }

    /// The revision of the writes when they were one; absent when they were made one by one.
    async fn write(&self, plan: &Plan) -> Result<Option<i64>, Error> {
        let operations: Result<Option<Vec<Operation>>, Error> = plan.writes.iter().map(Write::operation).collect();
        if let Some(operations) = operations? {
            match self.client.write(operations).await {
                Ok(result) => return Ok(result.resource_version.parse().ok()),
                Err(error) if plan.independent && is_conflict(&error) && plan.writes.len() > 1 => {}
                Err(error) => return Err(error),
            }
        }
        let raw = self.client.raw();
        let mut first_error = None;
        for write in &plan.writes {
            if let Err(error) = write_one(&self.client, &raw, write).await
                && !error.is_not_found()
            {
                if error.is_fenced() {
                    return Err(error);
                }
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(None), Err)
    }
}

async fn write_one(client: &Client, raw: &Raw, write: &Write) -> Result<(), Error> {
    match (write, write.operation()?) {
        (Write::DeleteCollection(name), _) => raw
            .delete_collection(name, &keelson_client::ListOptions::default(), &keelson_client::DeleteOptions::default())
            .await
            .map(drop),
        (_, Some(operation)) => client.write(vec![operation]).await.map(drop),
        (_, None) => Ok(()),
    }
}

/// The snapshot was outdated; nothing is wrong.
fn is_conflict(error: &Error) -> bool {
    error.is_conflict() || error.is_not_found() || error.is_already_exists()
}
