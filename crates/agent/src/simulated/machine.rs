//! What a running simulated container consists of: a name, variables, a few files, and a process that says something now and then.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use keelson_types::meta;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::files::Files;
use super::{KILLED, LINES_MAX, push};
use crate::containers;
use crate::runtime::{ContainerId, Line, Variable};

/// Lines that an attached client may be behind.
const BEHIND_MAX: usize = 256;

/// See the module.
pub struct Machine {
    pub hostname: String,
    pub container: String,
    pub image: String,
    pub environment: Vec<(String, String)>,
    /// What the container declares.
    pub ports: Vec<u16>,
    pub files: Mutex<Files>,
    pub since: Timestamp,
    /// Cancelled when the container is over.
    pub over: CancellationToken,
    /// What it ended with, if it was not cut short.
    code: OnceLock<i32>,
    /// What its process answered to its input.
    said: Mutex<VecDeque<Line>>,
    listeners: broadcast::Sender<String>,
}

/// Holds a machine; when it goes, whatever runs there ends.
pub struct Alive {
    pub machine: Arc<Machine>,
    _over: DropGuard,
}

impl Alive {
    /// A container that runs since `since`.
    pub fn new(pod: &Pod, id: &ContainerId, image: &str, variables: &[Variable], since: Timestamp) -> Alive {
        let hostname = meta::name(pod).to_owned();
        let mut environment = vec![
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOSTNAME".to_owned(), hostname.clone()),
            ("HOME".to_owned(), "/root".to_owned()),
        ];
        for variable in variables {
            environment.retain(|(name, _)| *name != variable.name);
            environment.push((variable.name.clone(), variable.value.clone()));
        }
        let own = containers::named(pod, &id.name);
        let ports = own.iter().flat_map(|container| container.ports.iter().flatten());
        let ports = ports.filter_map(|port| u16::try_from(port.container_port).ok()).collect();
        let over = CancellationToken::new();
        let machine = Machine {
            files: Mutex::new(Files::new(&hostname, since)),
            hostname,
            container: id.name.clone(),
            image: image.to_owned(),
            environment,
            ports,
            since,
            over: over.clone(),
            code: OnceLock::new(),
            said: Mutex::default(),
            listeners: broadcast::Sender::new(BEHIND_MAX),
        };
        Alive { machine: Arc::new(machine), _over: over.drop_guard() }
    }

    /// The process ends by itself, or as it was asked to.
    pub fn end(self, code: i32) {
        let _ = self.machine.code.set(code);
    }
}

impl Machine {
    /// The process writes a line, to its log and to whoever is attached.
    pub fn say(&self, text: String, at: Timestamp) {
        push(&mut self.said.lock(), Line { at, text: text.clone() });
        // Nobody may be attached.
        let _ = self.listeners.send(text);
    }

    /// The exit code of a container that is over.
    pub fn code(&self) -> i32 {
        self.code.get().copied().unwrap_or(KILLED)
    }

    pub fn listen(&self) -> broadcast::Receiver<String> {
        self.listeners.subscribe()
    }

    /// Puts what the process said between other lines of its log.
    pub fn merge(&self, lines: &mut Vec<Line>) {
        let said = self.said.lock();
        if !said.is_empty() {
            lines.extend(said.iter().cloned());
            lines.sort_by_key(|line| line.at);
            let surplus = lines.len().saturating_sub(2 * LINES_MAX);
            lines.drain(..surplus);
        }
    }
}
