//! A runtime that starts nothing and behaves as if. What a container does follows from the pod's annotations, and otherwise
//! from a seed: the same seed, pods and times give the same run.
//!
//! Annotations of a pod, each for all of its containers, or with `.<container>` appended for one:
//!
//! | annotation | value | means |
//! |---|---|---|
//! | `simulation.keelson.dev/start-delay` | `250ms`, `2s` | from the start to running; drawn from 50 to 250 ms without it |
//! | `simulation.keelson.dev/ready-delay` | likewise | from running to ready; drawn from 50 to 250 ms without it |
//! | `simulation.keelson.dev/exit-after` | likewise | ends by itself so long after it began to run |
//! | `simulation.keelson.dev/exit-code` | `0` to `255` | with which code it ends (0) |
//! | `simulation.keelson.dev/stop-delay` | likewise | takes so long to end when asked to; killed after the grace period (0) |
//! | `simulation.keelson.dev/cpu-usage` | `250m` | uses so many cores while it runs; half of its request without it, or 1m |
//! | `simulation.keelson.dev/memory-usage` | `64Mi` | likewise memory; half of its request without it, or 4Mi |
//! | `simulation.keelson.dev/image-pull-error` | a text | the image cannot be pulled, and this is why |
//!
//! No container uses more than its limit.
//!
//! An image whose name has the tag `does-not-exist` cannot be pulled either.

mod attach;
mod behaviour;
mod files;
mod http;
mod machine;
mod shell;
mod usage;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use k8s_openapi::api::core::v1::Pod;

use crate::containers;
use crate::runtime::{Action, ContainerId, Happened, Io, Line, Log, Observation, Running, Runtime, Used, Variable};
use machine::{Alive, Machine};

pub use behaviour::Behaviour;
pub use usage::WINDOW;

/// Lines that are kept of one run; the oldest go first.
const LINES_MAX: usize = 1_000;
/// A running container writes a line so often.
const TICK: Duration = Duration::from_secs(5);
/// What a killed process's exit code is: 128 and the number of SIGKILL.
const KILLED: i32 = 137;

/// The simulated runtime.
pub struct Simulated {
    seed: u64,
    containers: BTreeMap<ContainerId, Container>,
    /// The UIDs of the pods of each node that have or had containers here.
    nodes: BTreeMap<String, BTreeSet<String>>,
    /// What will happen, in order of time.
    agenda: BTreeSet<(Timestamp, u64)>,
    steps: BTreeMap<u64, (ContainerId, u32, Step)>,
    next_step: u64,
    /// What happened at once and was not yet polled.
    happened: VecDeque<Observation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Run,
    FailToStart,
    BecomeReady,
    Exit(i32),
}

struct Container {
    behaviour: Behaviour,
    /// Counts starts.
    starts: u32,
    /// Counts starts and ends; steps of an earlier one are void.
    run: u32,
    running_since: Option<Timestamp>,
    ended: bool,
    pod: Arc<Pod>,
    environment: Vec<Variable>,
    /// While it runs; what goes on inside ends with it.
    alive: Option<Alive>,
    lines: VecDeque<Line>,
    previous: Option<VecDeque<Line>>,
}

impl Simulated {
    /// A runtime without containers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            containers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            agenda: BTreeSet::new(),
            steps: BTreeMap::new(),
            next_step: 0,
            happened: VecDeque::new(),
        }
    }

    fn plan(&mut self, id: &ContainerId, run: u32, at: Timestamp, step: Step) {
        self.next_step += 1;
        self.agenda.insert((at, self.next_step));
        self.steps.insert(self.next_step, (id.clone(), run, step));
    }

    /// Makes the container anew for another run, and returns the number of the run.
    fn prepare(
        &mut self,
        id: &ContainerId,
        pod: Arc<Pod>,
        behaviour: Behaviour,
        environment: Vec<Variable>,
        lines: VecDeque<Line>,
    ) -> u32 {
        let before = self.containers.remove(id);
        let run = before.as_ref().map_or(1, |before| before.run + 1);
        let starts = before.as_ref().map_or(1, |before| before.starts + 1);
        let previous = before.map(|before| before.lines);
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
            self.nodes.entry(node).or_default().insert(id.pod_uid.clone());
        }
        let container = Container {
            behaviour,
            starts,
            run,
            running_since: None,
            ended: false,
            pod,
            environment,
            alive: None,
            lines,
            previous,
        };
        self.containers.insert(id.clone(), container);
        run
    }

    fn step(&mut self, id: &ContainerId, run: u32, step: Step, at: Timestamp) -> Option<Happened> {
        let container = self.containers.get_mut(id).filter(|container| container.run == run)?;
        let behaviour = container.behaviour.clone();
        match step {
            Step::Run => {
                container.run_from(id, at);
                push(&mut container.lines, Line { at, text: "running".to_owned() });
                self.plan(id, run, after(at, behaviour.ready_delay), Step::BecomeReady);
                if let Some(exit_after) = behaviour.exit_after {
                    self.plan(id, run, after(at, exit_after), Step::Exit(behaviour.exit_code));
                }
                Some(Happened::Started)
            }
            Step::FailToStart => {
                let message = behaviour.image_pull_error.unwrap_or_default();
                Some(Happened::NotStarted { reason: "ErrImagePull".to_owned(), message })
            }
            Step::BecomeReady => {
                container.running_since?;
                push(&mut container.lines, Line { at, text: "ready".to_owned() });
                Some(Happened::Ready)
            }
            Step::Exit(code) => {
                // One that was stopped before it ran ends as well.
                container.running_since = None;
                container.ended = true;
                if let Some(alive) = container.alive.take() {
                    let mut lines = container.lines.drain(..).collect();
                    alive.machine.merge(&mut lines);
                    container.lines = lines.into();
                    alive.end(code);
                }
                container.run += 1;
                push(&mut container.lines, Line { at, text: format!("ended with code {code}") });
                let reason = if code == 0 { "Completed" } else { "Error" }.to_owned();
                Some(Happened::Exited { code, reason })
            }
        }
    }
}

impl Runtime for Simulated {
    fn act(&mut self, action: Action, now: Timestamp) {
        match action {
            Action::Start { container, pod, environment } => {
                let behaviour = match Behaviour::of(&pod, &container, self.seed) {
                    Ok(behaviour) => behaviour,
                    Err(message) => {
                        let what = Happened::NotStarted { reason: "InvalidSimulation".to_owned(), message };
                        self.happened.push_back(Observation { container, at: now, what });
                        return;
                    }
                };
                let start_at = after(now, behaviour.start_delay);
                let step = if behaviour.image_pull_error.is_some() { Step::FailToStart } else { Step::Run };
                let lines = first_lines(&behaviour.image, &environment, now);
                let run = self.prepare(&container, pod, behaviour, environment, lines);
                self.plan(&container, run, start_at, step);
            }
            Action::Adopt { container, pod, started_at } => {
                let Ok(behaviour) = Behaviour::of(&pod, &container, self.seed) else { return };
                let exit = behaviour.exit_after.map(|exit_after| (after(started_at, exit_after), behaviour.exit_code));
                let environment = own_variables(&pod, &container.name);
                let run = self.prepare(&container, pod, behaviour, environment, VecDeque::new());
                if let Some(state) = self.containers.get_mut(&container) {
                    state.run_from(&container, started_at);
                }
                self.plan(&container, run, now, Step::BecomeReady);
                if let Some((at, code)) = exit {
                    self.plan(&container, run, at.max(now), Step::Exit(code));
                }
            }
            Action::Stop { container, grace_seconds } => {
                let Some(state) = self.containers.get(&container) else { return };
                let grace = Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
                let (delay, code) =
                    if state.behaviour.stop_delay <= grace { (state.behaviour.stop_delay, 0) } else { (grace, KILLED) };
                let run = state.run;
                self.plan(&container, run, after(now, delay), Step::Exit(code));
            }
            Action::Remove { pod_uid } => {
                self.containers.retain(|id, _| id.pod_uid != pod_uid);
                self.nodes.retain(|_, pods| {
                    pods.remove(&pod_uid);
                    !pods.is_empty()
                });
            }
        }
    }

    fn poll(&mut self, now: Timestamp) -> Vec<Observation> {
        let mut observations: Vec<Observation> = self.happened.drain(..).collect();
        while let Some((at, number)) = self.agenda.first().copied()
            && at <= now
        {
            self.agenda.remove(&(at, number));
            let Some((container, run, step)) = self.steps.remove(&number) else { continue };
            if let Some(what) = self.step(&container, run, step, at) {
                observations.push(Observation { container, at, what });
            }
        }
        observations
    }

    fn next_at(&self) -> Option<Timestamp> {
        match self.happened.front() {
            Some(observation) => Some(observation.at),
            None => self.agenda.first().map(|(at, _)| *at),
        }
    }

    fn log(&self, container: &ContainerId, previous: bool, now: Timestamp) -> Option<Log> {
        let container = self.containers.get(container)?;
        if previous {
            let lines = container.previous.as_ref()?.iter().cloned().collect();
            return Some(Log { lines, run: container.starts.saturating_sub(1), ended: true });
        }
        let mut lines: Vec<Line> = container.lines.iter().cloned().collect();
        // The lines of a running container's life are counted, not kept.
        if let Some(since) = container.running_since {
            let age = now.duration_since(since).unsigned_abs();
            let ticks = age.as_secs() / TICK.as_secs();
            let first = ticks.saturating_sub(LINES_MAX as u64) + 1;
            lines.extend((first..=ticks).map(|tick| {
                let at = after(since, TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX)));
                Line { at, text: alive_line(tick) }
            }));
        }
        if let Some(alive) = &container.alive {
            alive.machine.merge(&mut lines);
        }
        Some(Log { lines, run: container.starts, ended: container.ended })
    }

    fn usage(&self, node: &str, now: Timestamp) -> Vec<Used> {
        self.used_on(node, now)
    }

    fn exec(&self, container: &ContainerId, command: &[String], io: Io) -> Result<Running, String> {
        let machine = self.machine(container)?;
        shell::find(command)?;
        Ok(Box::pin(shell::run(machine, command.to_vec(), io)))
    }

    fn attach(&self, container: &ContainerId, io: Io) -> Result<Running, String> {
        Ok(Box::pin(attach::run(self.machine(container)?, io)))
    }

    fn port_forward(&self, pod_uid: &str, port: u16, io: Io) -> Result<Running, String> {
        let mut machines =
            self.of_pod(pod_uid).filter_map(|(_, container)| container.alive.as_ref()).map(|alive| &alive.machine);
        match machines.find(|machine| machine.ports.contains(&port)) {
            Some(machine) => Ok(Box::pin(http::serve(machine.clone(), port, io))),
            None => Err(format!("failed to connect to localhost:{port} inside the pod: connection refused")),
        }
    }
}

impl Simulated {
    fn of_pod(&self, uid: &str) -> impl Iterator<Item = (&ContainerId, &Container)> {
        let first = ContainerId { pod_uid: uid.to_owned(), name: String::new() };
        let uid = first.pod_uid.clone();
        self.containers.range(first..).take_while(move |(id, _)| id.pod_uid == uid)
    }

    fn machine(&self, id: &ContainerId) -> Result<Arc<Machine>, String> {
        let alive = self.containers.get(id).and_then(|container| container.alive.as_ref());
        alive.map(|alive| alive.machine.clone()).ok_or_else(|| format!("container not found ({:?})", id.name))
    }
}

impl Container {
    fn run_from(&mut self, id: &ContainerId, at: Timestamp) {
        self.running_since = Some(at);
        self.alive = Some(Alive::new(&self.pod, id, &self.behaviour.image, &self.environment, at));
    }
}

/// The variables whose values stand in the pod.
fn own_variables(pod: &Pod, name: &str) -> Vec<Variable> {
    let Some(container) = containers::named(pod, name) else { return Vec::new() };
    let plain = container.env.iter().flatten().filter_map(|variable| {
        Some(Variable { name: variable.name.clone(), value: variable.value.clone()?, secret: false })
    });
    plain.collect()
}

/// What a container writes that just runs, at its so many-th tick.
fn alive_line(tick: u64) -> String {
    format!("still running after {} s", tick * TICK.as_secs())
}

fn first_lines(image: &str, environment: &[Variable], at: Timestamp) -> VecDeque<Line> {
    let mut lines = VecDeque::new();
    push(&mut lines, Line { at, text: format!("simulated container of image {image}") });
    for Variable { name, value, secret } in environment {
        let shown = if *secret { "(from a secret)" } else { value };
        push(&mut lines, Line { at, text: format!("environment: {name}={shown}") });
    }
    lines
}

fn push(lines: &mut VecDeque<Line>, line: Line) {
    if lines.len() == LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}

fn after(at: Timestamp, delay: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
