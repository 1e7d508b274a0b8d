//! Pods that wait for a node. Pure: time is a duration since some start.
//!
//! A pod is *active* (decide now), *backing off* (it failed a moment ago), or *parked* (no node can take it until something
//! relevant changes). Nothing is ever lost between them: a parked pod is tried again at the latest after [`PARKED_MAX`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use keelson_client::Key;

use crate::plugins::Event;
use crate::pod::PodInfo;

/// The first pause after a failure; doubles up to [`BACKOFF_MAX`]. Kubernetes' numbers.
pub const BACKOFF_INITIAL: Duration = Duration::from_secs(1);
/// The longest pause.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The longest a pod stays parked without a relevant change, should one have been missed.
pub const PARKED_MAX: Duration = Duration::from_secs(5 * 60);

/// Pods that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: HashMap<Key, Waiting>,
    /// Higher priority first, then who came first.
    active: BTreeMap<(std::cmp::Reverse<i32>, u64), Key>,
    /// By the end of the pause.
    backing_off: BTreeSet<(Duration, Key)>,
    arrivals: u64,
}

#[derive(Debug)]
struct Waiting {
    pod: PodInfo,
    attempts: u32,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Active(u64),
    BackingOff { until: Duration },
    Parked { since: Duration, backoff_until: Duration, helped_by: BTreeSet<Event> },
}

impl Queue {
    /// A pod that has no node appeared or changed. A changed one is tried again at once; one that is the same keeps its
    /// place, so that the scheduler's own status updates do not start it anew.
    pub fn set(&mut self, pod: PodInfo) {
        let attempts = match self.waiting.get_mut(&pod.key) {
            Some(waiting) if same(&waiting.pod, &pod) => {
                waiting.pod = pod;
                return;
            }
            Some(waiting) if waiting.pod.uid == pod.uid => waiting.attempts,
            _ => 0,
        };
        self.remove(&pod.key);
        self.activate(pod, attempts);
    }

    /// A pod is gone, or has a node.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(waiting) = self.waiting.remove(key) else { return false };
        match waiting.place {
            Place::Active(arrival) => drop(self.active.remove(&(std::cmp::Reverse(waiting.pod.priority), arrival))),
            Place::BackingOff { until } => drop(self.backing_off.remove(&(until, key.clone()))),
            Place::Parked { .. } => {}
        }
        true
    }

    /// Takes up to `most` active pods, the most urgent first. They are no longer in the queue; whoever fails to place one
    /// gives it back with [`Queue::back_off`] or [`Queue::park`].
    pub fn take(&mut self, most: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, key)) = self.active.pop_first()
        {
            if let Some(waiting) = self.waiting.remove(&key) {
                taken.push(Taken { pod: waiting.pod, attempts: waiting.attempts + 1 });
            }
        }
        taken
    }

    /// Gives a pod back whose placement could not be written; it is tried again after a pause.
    pub fn back_off(&mut self, taken: Taken, now: Duration) {
        let until = now + backoff(taken.attempts);
        self.backing_off.insert((until, taken.pod.key.clone()));
        self.insert(taken, Place::BackingOff { until });
    }

    /// Gives a pod back that no node can take, until one of `helped_by` happens.
    pub fn park(&mut self, taken: Taken, helped_by: BTreeSet<Event>, now: Duration) {
        let backoff_until = now + backoff(taken.attempts);
        self.insert(taken, Place::Parked { since: now, backoff_until, helped_by });
    }

    /// Something changed: parked pods that it may help go on, after what is left of their pause.
    pub fn happened(&mut self, event: Event, now: Duration) {
        self.unpark(now, |helped_by, _| helped_by.contains(&event));
    }

    /// Ends pauses that are over, and brings pods back that are parked for too long.
    pub fn advance(&mut self, now: Duration) {
        self.unpark(now, |_, since| now.saturating_sub(since) >= PARKED_MAX);
        while let Some((until, _)) = self.backing_off.first()
            && *until <= now
            && let Some((_, key)) = self.backing_off.pop_first()
            && let Some(waiting) = self.waiting.remove(&key)
        {
            self.activate(waiting.pod, waiting.attempts);
        }
    }

    /// When [`Queue::advance`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.backing_off.first().map(|(until, _)| *until)
    }

    /// Whether pods wait to be taken.
    #[must_use]
    pub fn has_active(&self) -> bool {
        !self.active.is_empty()
    }

    fn unpark(&mut self, now: Duration, chosen: impl Fn(&BTreeSet<Event>, Duration) -> bool) {
        let keys: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| match &waiting.place {
                Place::Parked { since, helped_by, .. } => chosen(helped_by, *since),
                Place::Active(_) | Place::BackingOff { .. } => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let Some(mut waiting) = self.waiting.remove(&key) else { continue };
            let Place::Parked { backoff_until, .. } = waiting.place else { continue };
            if backoff_until <= now {
                self.activate(waiting.pod, waiting.attempts);
            } else {
                waiting.place = Place::BackingOff { until: backoff_until };
                self.backing_off.insert((backoff_until, key.clone()));
                self.waiting.insert(key, waiting);
            }
        }
    }

    fn activate(&mut self, pod: PodInfo, attempts: u32) {
        self.arrivals += 1;
        self.active.insert((std::cmp::Reverse(pod.priority), self.arrivals), pod.key.clone());
        let place = Place::Active(self.arrivals);
        self.waiting.insert(pod.key.clone(), Waiting { pod, attempts, place });
    }

    fn insert(&mut self, taken: Taken, place: Place) {
        let Taken { pod, attempts } = taken;
        self.waiting.insert(pod.key.clone(), Waiting { pod, attempts, place });
    }
}

/// A pod that was taken out to be decided about.
#[derive(Clone, Debug)]
pub struct Taken {
    pub pod: PodInfo,
    /// Including the present one.
    pub attempts: u32,
}

fn same(one: &PodInfo, other: &PodInfo) -> bool {
    one.uid == other.uid && one.priority == other.priority && one.shape.fingerprint == other.shape.fingerprint
}

fn backoff(attempts: u32) -> Duration {
    BACKOFF_INITIAL.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, priority: i32, cpu: &str) -> PodInfo {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "default", "uid": name },
            "spec": { "priority": priority, "containers": [{ "name": "m", "resources": { "requests": { "cpu": cpu } } }] },
        }))
        .expect("a pod");
        PodInfo::of(&pod)
    }

    fn names(taken: &[Taken]) -> Vec<&str> {
        taken.iter().map(|taken| taken.pod.key.name.as_str()).collect()
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_most_urgent_go_first_then_who_came_first() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 0), ("c", 9)] {
            queue.set(pod(name, priority, "1"));
        }
        assert_eq!(names(&queue.take(2)), ["c", "a"]);
        assert_eq!(names(&queue.take(2)), ["b"]);
    }

    #[test]
    fn a_parked_pod_waits_for_a_change_that_may_help_and_for_its_pause() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0, "1"));
        let taken = queue.take(1).remove(0);
        queue.park(taken, BTreeSet::from([Event::Node]), at(0));
        queue.happened(Event::PodGone, at(100));
        assert!(!queue.has_active());
        queue.happened(Event::Node, at(100));
        let taken = queue.take(1).remove(0);
        assert_eq!(taken.attempts, 2);
        queue.park(taken, BTreeSet::from([Event::Node]), at(100));
        queue.happened(Event::Node, at(101));
        assert!(!queue.has_active(), "the pause is 2 s now");
        assert_eq!(queue.next_deadline(), Some(at(102)));
        queue.advance(at(102));
        assert_eq!(names(&queue.take(1)), ["a"]);
    }

    #[test]
    fn nothing_stays_parked_for_ever() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0, "1"));
        let taken = queue.take(1).remove(0);
        queue.park(taken, BTreeSet::new(), at(0));
        queue.advance(at(299));
        assert!(!queue.has_active());
        queue.advance(at(300));
        assert!(queue.has_active());
    }

    #[test]
    fn a_pod_that_changed_is_tried_at_once_and_one_that_did_not_keeps_waiting() {
        let mut queue = Queue::default();
        queue.set(pod("a", 0, "8"));
        let taken = queue.take(1).remove(0);
        queue.park(taken, BTreeSet::new(), at(0));
        queue.set(pod("a", 0, "8"));
        assert!(!queue.has_active());
        queue.set(pod("a", 0, "1"));
        assert_eq!(names(&queue.take(9)), ["a"]);
    }

    #[test]
    fn a_removed_pod_is_nowhere() {
        let mut queue = Queue::default();
        for place in 0..3 {
            queue.set(pod("a", 0, "1"));
            if place > 0 {
                let taken = queue.take(1).remove(0);
                if place == 1 { queue.back_off(taken, at(0)) } else { queue.park(taken, BTreeSet::new(), at(0)) }
            }
            assert!(queue.remove(&Key::new("default", "a")));
            queue.advance(at(1_000));
            assert!(!queue.has_active() && queue.next_deadline().is_none());
        }
    }
}
