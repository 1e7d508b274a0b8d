//! What runs containers, as the agent sees it: it is told what to do, and tells what happened. Neither waits.
//!
//! A runtime that talks to a real container engine does its I/O on tasks of its own behind these calls; the simulated one has
//! nothing to wait for. Time comes in as an argument. A session, such as the run of a command, is begun here and goes on by itself, as
//! a future that whoever asked for it drives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use keelson_proto::keelson::node::v1::TunnelRequest;
use keelson_sessions::{Outcome, Receiver, Sender};

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId {
    pub pod_uid: String,
    /// The container's name in its pod.
    pub name: String,
}

/// What the agent wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Pull the image, create the container and start it. Told by `Started` or `NotStarted`.
    Start {
        container: ContainerId,
        pod: Arc<Pod>,
        /// Environment variables by name, references resolved; a secret's value is marked.
        environment: Vec<Variable>,
    },
    /// The container runs since before this agent; go on watching it.
    Adopt { container: ContainerId, pod: Arc<Pod>, started_at: Timestamp },
    /// Ask the container to end, and end it after `grace_seconds`. Told by `Exited`.
    Stop { container: ContainerId, grace_seconds: i64 },
    /// Forget everything of a pod, its logs included. Whatever still runs is ended at once.
    Remove { pod_uid: String },
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// The value comes from a Secret and must not be shown.
    pub secret: bool,
}

/// What happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub container: ContainerId,
    pub at: Timestamp,
    pub what: Happened,
}

/// See [`Observation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Started,
    /// The readiness probe succeeds, or there is none.
    Ready,
    /// Tried again by the agent after a pause.
    NotStarted {
        /// "ErrImagePull", "CreateContainerConfigError", …
        reason: String,
        message: String,
    },
    Exited {
        code: i32,
        /// "Completed", "Error", "OOMKilled".
        reason: String,
    },
}

/// A line of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: Timestamp,
    pub text: String,
}

/// The log of one run of a container, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub lines: Vec<Line>,
    /// Another run has another number.
    pub run: u32,
    /// The run is over: nothing is added any more.
    pub ended: bool,
}

/// What a running container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub container: ContainerId,
    /// Billionths of a core, on average over the window.
    pub cpu_nanocores: u64,
    pub memory_bytes: u64,
    /// Above zero; shorter than others' for a container that has just begun to run.
    pub window: Duration,
}

/// A session's two directions. Output goes to its `Stdout` and `Stderr`, input comes from its `Stdin`; a forwarded connection
/// has the first and the last. Whoever drives the session ends it with the outcome.
pub struct Io {
    pub input: Receiver<TunnelRequest>,
    pub output: Sender<TunnelRequest>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// As a terminal: input is echoed and edited, output has carriage returns.
    pub tty: bool,
}

/// A session under way. Dropping it ends it, and what it runs.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Runs containers.
pub trait Runtime: Send + 'static {
    /// Does what is wanted, or begins to. An action for a container that is not known is passed over.
    fn act(&mut self, action: Action, now: Timestamp);

    /// What has happened up to `now`, in order.
    fn poll(&mut self, now: Timestamp) -> Vec<Observation>;

    /// When something will have happened next; `None` when nothing will without an action.
    fn next_at(&self) -> Option<Timestamp>;

    /// The log of a container's present run (or of the one before) up to `now`; `None` when there was no such run.
    fn log(&self, container: &ContainerId, previous: bool, now: Timestamp) -> Option<Log>;

    /// What the running containers of a node's pods use.
    fn usage(&self, node: &str, now: Timestamp) -> Vec<Used>;

    /// Runs a command in a running container. It ends with the container, if not before.
    ///
    /// # Errors
    /// Why it cannot begin, in words for whoever asked: no such container, no such program.
    fn exec(&self, container: &ContainerId, command: &[String], io: Io) -> Result<Running, String>;

    /// Joins the input and output of a running container's own process, from now on.
    ///
    /// # Errors
    /// As [`Runtime::exec`].
    fn attach(&self, container: &ContainerId, io: Io) -> Result<Running, String>;

    /// Connects to a port of a pod.
    ///
    /// # Errors
    /// As [`Runtime::exec`]; that nobody listens there.
    fn port_forward(&self, pod_uid: &str, port: u16, io: Io) -> Result<Running, String>;
}
