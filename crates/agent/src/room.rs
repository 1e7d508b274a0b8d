//! What the pods on each node have together, kept up to date one pod at a time, and which pods wait for more of it.
//!
//! **Invariant**: a node's sum is that of what its pods have. What a pod asks for beyond that takes no room until it is granted:
//! one that can never have it would else keep all others from theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use keelson_types::Resources;

/// Pods that are looked at again at once, apart from those of one node; with more, the rest of the nodes come after what else
/// there is to do. One look takes microseconds.
const RETRIES_MAX: usize = 1_000;

/// The room on nodes.
#[derive(Debug, Default)]
pub struct Room {
    nodes: BTreeMap<String, Node>,
    /// By pod UID.
    pods: HashMap<String, Placed>,
    /// Nodes whose waiting pods may now have what they wait for.
    freed: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Node {
    /// `None` while the API does not have the node.
    allocatable: Option<Resources>,
    taken: Resources,
    /// How many pods are counted in `taken`.
    pods: usize,
    /// By pod UID.
    waiting: BTreeSet<String>,
}

#[derive(Debug)]
struct Placed {
    node: String,
    has: Resources,
}

impl Room {
    /// A node has this for pods.
    pub fn set_allocatable(&mut self, name: &str, allocatable: Option<Resources>) {
        let node = self.nodes.entry(name.to_owned()).or_default();
        if node.allocatable != allocatable {
            node.allocatable = allocatable;
            self.free(name);
        }
    }

    /// A pod has this of its node.
    pub fn set(&mut self, uid: &str, node: &str, has: Resources) {
        let before = self.pods.get(uid);
        if before.is_some_and(|before| before.node == node && before.has == has) {
            return;
        }
        let shrinks = before.is_some_and(|before| before.has.exceeds(&has));
        let waits = self.is_waiting(uid);
        self.take_out(uid);
        let counted = self.nodes.entry(node.to_owned()).or_default();
        counted.taken.add(&has);
        counted.pods += 1;
        self.pods.insert(uid.to_owned(), Placed { node: node.to_owned(), has });
        self.set_waiting(uid, waits);
        if shrinks {
            self.free(node);
        }
    }

    /// A pod has left its node.
    pub fn remove(&mut self, uid: &str) {
        if let Some(node) = self.take_out(uid) {
            self.free(&node);
        }
    }

    /// What a pod's node has for pods, and what the other pods on it have of that. `None` while the node is not known.
    #[must_use]
    pub fn beside(&self, uid: &str) -> Option<(Resources, Resources)> {
        let placed = self.pods.get(uid)?;
        let node = self.nodes.get(&placed.node)?;
        let mut others = node.taken.clone();
        others.subtract(&placed.has);
        Some((node.allocatable.clone()?, others))
    }

    /// Whether a pod waits for its node to have more room.
    pub fn set_waiting(&mut self, uid: &str, waits: bool) {
        let Some(node) = self.pods.get(uid).and_then(|placed| self.nodes.get_mut(&placed.node)) else { return };
        if waits {
            node.waiting.insert(uid.to_owned());
        } else {
            node.waiting.remove(uid);
        }
    }

    /// The pods that wait on nodes that have more room than before, or other room: those of some nodes, each node once.
    pub fn take_freed(&mut self) -> Vec<String> {
        let mut again = Vec::new();
        while again.len() < RETRIES_MAX
            && let Some(node) = self.freed.pop_first()
        {
            again.extend(self.nodes.get(&node).into_iter().flat_map(|node| node.waiting.iter().cloned()));
        }
        again
    }

    /// Whether [`Room::take_freed`] has more.
    #[must_use]
    pub fn is_freed(&self) -> bool {
        !self.freed.is_empty()
    }

    fn is_waiting(&self, uid: &str) -> bool {
        let node = self.pods.get(uid).and_then(|placed| self.nodes.get(&placed.node));
        node.is_some_and(|node| node.waiting.contains(uid))
    }

    fn free(&mut self, name: &str) {
        if self.nodes.get(name).is_some_and(|node| !node.waiting.is_empty()) {
            self.freed.insert(name.to_owned());
        }
    }

    /// Counts a pod no more. The node on which it was counted.
    fn take_out(&mut self, uid: &str) -> Option<String> {
        let Placed { node: name, has } = self.pods.remove(uid)?;
        if let Some(node) = self.nodes.get_mut(&name) {
            node.taken.subtract(&has);
            node.pods -= 1;
            node.waiting.remove(uid);
            if node.pods == 0 && node.allocatable.is_none() {
                self.nodes.remove(&name);
            }
        }
        Some(name)
    }

    /// Checks that each node's sum is that of its pods, and that only its own pods wait on it.
    ///
    /// # Errors
    /// Names the first node that differs.
    #[cfg(test)]
    pub fn validate(&self) -> Result<(), String> {
        let mut sums: HashMap<&str, (Resources, usize)> = HashMap::new();
        for placed in self.pods.values() {
            let (sum, pods) = sums.entry(&placed.node).or_default();
            sum.add(&placed.has);
            *pods += 1;
        }
        for (name, node) in &self.nodes {
            let (sum, pods) = sums.remove(name.as_str()).unwrap_or_default();
            let strange = node.waiting.iter().find(|uid| self.pods.get(*uid).is_none_or(|placed| placed.node != *name));
            if (&sum, pods) != (&node.taken, node.pods) || strange.is_some() {
                return Err(format!("{name}: counted {node:?}, expected {sum:?} of {pods}"));
            }
        }
        sums.keys().next().map_or(Ok(()), |name| Err(format!("{name} has pods and is not kept")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(count: i128) -> Resources {
        Resources { millicpu: 1_000 * count, ..Resources::default() }
    }

    #[test]
    fn only_those_that_wait_where_room_was_freed_are_looked_at_again() {
        let mut room = Room::default();
        for node in ["m", "n"] {
            room.set_allocatable(node, Some(cores(4)));
            for pod in ["one", "two", "three"] {
                room.set(&format!("{node}-{pod}"), node, cores(1));
            }
            room.set_waiting(&format!("{node}-one"), true);
        }
        assert!(!room.is_freed());
        room.set("m-two", "m", cores(2));
        room.set("m-two", "m", cores(2));
        room.set_allocatable("n", Some(cores(4)));
        assert!(!room.is_freed(), "nothing was freed");
        room.set("m-two", "m", cores(1));
        assert_eq!(room.take_freed(), ["m-one"], "one has less");
        room.remove("n-two");
        room.remove("n-three");
        assert_eq!(room.take_freed(), ["n-one"], "others have gone, and it is looked at once");
        room.set_allocatable("n", Some(cores(8)));
        assert_eq!(room.take_freed(), ["n-one"], "the node has grown");
        assert_eq!(room.take_freed(), [""; 0]);
        room.set("n-one", "n", cores(3));
        assert_eq!(room.beside("n-one"), Some((cores(8), Resources::default())));
        room.set_allocatable("n", Some(cores(9)));
        assert_eq!(room.take_freed(), ["n-one"], "it waits until it is said not to");
        room.set_waiting("n-one", false);
        room.set_allocatable("n", None);
        assert!(!room.is_freed() && room.beside("n-one").is_none());
        room.validate().expect("sums up");
    }

    #[test]
    fn sums_are_those_of_the_pods_whatever_happens() {
        let mut room = Room::default();
        let mut state = 7_u64;
        let mut any = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..2_000 {
            let (uid, node) = (format!("pod-{}", any(20)), format!("node-{}", any(3)));
            match any(5) {
                0 => room.remove(&uid),
                1 => room.set_allocatable(&node, (any(2) == 0).then(|| cores(4))),
                2 => room.set_waiting(&uid, any(2) == 0),
                // Also as much as can be written.
                3 => room.set(&uid, &node, cores(i64::MAX.into())),
                _ => room.set(&uid, &node, cores(any(4).into())),
            }
            room.validate().expect("sums up");
        }
    }

    #[test]
    fn many_that_wait_are_looked_at_in_turns() {
        let mut room = Room::default();
        for node in 0..3 {
            let node = format!("node-{node}");
            for pod in 0..RETRIES_MAX {
                let uid = format!("{node}-{pod}");
                room.set(&uid, &node, cores(1));
                room.set_waiting(&uid, true);
            }
            room.set_allocatable(&node, Some(cores(4)));
        }
        for _ in 0..3 {
            assert!(room.is_freed());
            assert_eq!(room.take_freed().len(), RETRIES_MAX);
        }
        assert!(!room.is_freed());
    }
}
