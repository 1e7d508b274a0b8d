//! A simulated machine: tasks that can be stopped all at once, and the world around them, which a test provides.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;

use super::{Clock, Step, enter};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where requests to a peer go: what a connection, or the peer's own services, are to gRPC.
pub type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>;

/// What surrounds a simulated machine.
pub trait World: Send + Sync + 'static {
    /// The time of day since 1970, which may jump in both directions.
    fn time_of_day(&self) -> Duration;

    /// What the monotonic clock makes of simulated time, by which leases and Raft's timers go.
    fn clock(&self) -> Clock;

    /// A way to the peer at `address`, for a purpose of its own. An error that means that a request surely did not get
    /// there has a [`tonic::ConnectError`] among its sources.
    fn connect(&self, address: &str) -> Channel;

    /// Lets peers reach `services`, until the future is dropped.
    fn serve(&self, services: Channel) -> BoxFuture<'static, ()>;

    /// Waits before `range` of `file`, a part of the log, is written. Nothing of it is on disk when the machine stops here.
    fn before_sync(&self, file: &Path, range: Range<u64>) -> BoxFuture<'static, io::Result<()>>;

    /// Waits after that was written, and before it is known. Of each sector, all or nothing is on disk when the machine stops
    /// here.
    fn after_sync(&self) -> BoxFuture<'static, io::Result<()>>;

    /// Called before each step of making, removing and opening files of the log. An error is the disk's; the step is not taken then.
    ///
    /// # Errors
    /// As the simulation wants it.
    fn before_step(&self, step: &Step<'_>) -> io::Result<()>;

    /// Takes note that the encoded `entry` was applied.
    fn applied(&self, index: u64, term: u64, entry: &[u8]);

    /// Whether a task that could go on is made to wait for its next turn.
    fn delays(&self) -> bool;
}

/// A simulated machine, on which one member runs from its start to its crash. Clones are the same machine.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    world: Arc<dyn World>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    next_id: u64,
    alive: BTreeMap<u64, Arc<dyn End>>,
    paused: bool,
    /// Tasks that could have gone on meanwhile.
    woken: Vec<Waker>,
    ended: bool,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine with {} tasks", self.0.tasks.lock().alive.len())
    }
}

impl Machine {
    /// A machine on which nothing runs.
    pub fn new(world: Arc<dyn World>) -> Self {
        Self(Arc::new(Inner { world, tasks: Mutex::default() }))
    }

    /// Starts a task. What it starts in turn belongs to the machine, too. Nobody is told when the machine crashes.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.scope(future))
    }

    /// Ends everything at once, at whatever it waits for. Nothing can be started any more.
    ///
    /// # Panics
    /// When one of the machine's own tasks calls it.
    pub fn crash(&self) {
        loop {
            let tasks = {
                let mut tasks = self.0.tasks.lock();
                tasks.ended = true;
                std::mem::take(&mut tasks.alive)
            };
            if tasks.is_empty() {
                return;
            }
            enter(self, || tasks.into_values().for_each(|task| task.end()));
        }
    }

    /// Lets no task go on, as a stopped process would, until [`Self::resume`]. Time passes.
    pub fn pause(&self) {
        self.0.tasks.lock().paused = true;
    }

    /// Lets all tasks go on.
    pub fn resume(&self) {
        let woken = {
            let mut tasks = self.0.tasks.lock();
            tasks.paused = false;
            std::mem::take(&mut tasks.woken)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn world(&self) -> &dyn World {
        &*self.0.world
    }

    /// Makes `future` a task of this machine, wherever it is polled.
    pub(super) fn scope<F: Future + Send + 'static>(&self, future: F) -> Scoped<F> {
        let mut tasks = self.0.tasks.lock();
        let future = (!tasks.ended).then(|| Box::pin(future));
        let task = Arc::new(Task(Mutex::new(future)));
        let id = tasks.next_id;
        tasks.next_id += 1;
        if !tasks.ended {
            tasks.alive.insert(id, task.clone());
        }
        Scoped { machine: self.clone(), id, task }
    }

    fn must_wait(&self, waker: &Waker) -> bool {
        let mut tasks = self.0.tasks.lock();
        if tasks.paused {
            tasks.woken.push(waker.clone());
        }
        tasks.paused
    }

    fn forget(&self, id: u64) {
        let task = self.0.tasks.lock().alive.remove(&id);
        drop(task);
    }
}

/// A task that can be ended from outside.
trait End: Send + Sync {
    fn end(&self);
}

struct Task<F>(Mutex<Option<Pin<Box<F>>>>);

impl<F: Future + Send> End for Task<F> {
    fn end(&self) {
        let future = self.0.try_lock().expect("a machine is not crashed by its own task").take();
        drop(future);
    }
}

/// A future that goes on only while its machine does.
pub(super) struct Scoped<F: Future + Send + 'static> {
    machine: Machine,
    id: u64,
    task: Arc<Task<F>>,
}

impl<F: Future + Send + 'static> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if self.machine.must_wait(context.waker()) {
            return Poll::Pending;
        }
        if self.machine.world().delays() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut future = self.task.0.lock();
        let Some(running) = future.as_mut() else {
            return Poll::Pending;
        };
        let polled = enter(&self.machine, || running.as_mut().poll(context));
        if polled.is_ready() {
            let done = future.take();
            enter(&self.machine, || drop(done));
            drop(future);
            self.machine.forget(self.id);
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for Scoped<F> {
    fn drop(&mut self) {
        self.machine.forget(self.id);
        enter(&self.machine, || self.task.end());
    }
}
