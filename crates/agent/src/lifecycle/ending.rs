//! How a pod comes to its end, by itself or because it is deleted: what runs is stopped, and nothing begins.

use keelson_types::pods;

use super::{Container, GRACE_SECONDS, Kind, Lifecycle, State};
use crate::runtime::Action;

impl Lifecycle {
    /// The pod is being deleted.
    pub(super) fn stop(&mut self) -> Vec<Action> {
        if std::mem::replace(&mut self.stopping, true) {
            return Vec::new();
        }
        self.stop_what_runs()
    }

    /// The main containers have ended: nobody needs the others any more.
    pub(super) fn end(&mut self) -> Vec<Action> {
        if std::mem::replace(&mut self.ending, true) { Vec::new() } else { self.stop_what_runs() }
    }

    fn stop_what_runs(&self) -> Vec<Action> {
        let grace_seconds = self.grace_seconds();
        let running = self.containers.iter().filter(|container| container.runs());
        running.map(|container| Action::Stop { container: self.id(container), grace_seconds }).collect()
    }

    /// Whether nothing of the pod is to be started any more, though it may not be deleted: it has come to its end, or somebody else
    /// has said so.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome().is_some() || pods::is_terminal(&self.pod)
    }

    /// How the pod ends, once those containers have ended for good that decide it. Others may run still.
    pub(super) fn outcome(&self) -> Option<&'static str> {
        let fails = |container: &Container| match &container.state {
            State::Ended(ended) => Some(ended.code != 0),
            _ => None,
        };
        let mut first = self.containers.iter().filter(|container| container.kind == Kind::Init);
        if first.any(|container| fails(container) == Some(true)) {
            return Some("Failed");
        }
        if !self.mains_have_ended() {
            return None;
        }
        Some(if self.mains().any(|container| fails(container) == Some(true)) { "Failed" } else { "Succeeded" })
    }

    pub(super) fn mains(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.kind == Kind::Main)
    }

    pub(super) fn mains_have_ended(&self) -> bool {
        let mut mains = self.mains().peekable();
        mains.peek().is_some() && mains.all(|container| matches!(container.state, State::Ended(_)))
    }

    pub(super) fn grace_seconds(&self) -> i64 {
        let of_spec = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        self.pod.metadata.deletion_grace_period_seconds.or(of_spec).unwrap_or(GRACE_SECONDS)
    }

    /// Whether the pod is being deleted and nothing of it runs any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stopping && !self.containers.iter().any(Container::runs)
    }
}
