//! Amounts of resources, as integers that can be added and compared: millicores, bytes, counts. Whoever decides whether a pod has
//! room on a node counts what pods take by this, so that all of them agree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;

use crate::quantity::Quantity;

/// Kubernetes counts a container that asks for nothing as this much when it *scores* nodes, so that such pods spread too.
const UNSTATED_MILLICPU: i128 = 100;
const UNSTATED_MEMORY_BYTES: i128 = 200 << 20;

type List = BTreeMap<String, Wire>;

/// What a pod asks for, or a node has. Single amounts have 64 bits, so that no sum of them can overflow: what was added can be
/// taken away again, whatever pods ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a core.
    pub millicpu: i128,
    /// Bytes.
    pub memory: i128,
    /// Bytes.
    pub ephemeral_storage: i128,
    /// Everything else, by name: huge pages, devices.
    pub others: BTreeMap<String, i128>,
}

impl Resources {
    /// Reads a list of quantities. One that cannot be parsed counts as 0; validation keeps those out.
    #[must_use]
    pub fn of(list: Option<&List>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list.into_iter().flatten() {
            let Ok(quantity) = quantity.0.parse::<Quantity>() else { continue };
            match name.as_str() {
                "cpu" => resources.millicpu = quantity.millis().into(),
                "memory" => resources.memory = quantity.units().into(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.units().into(),
                "pods" => {}
                _ => {
                    resources.others.insert(name.clone(), quantity.units().into());
                }
            }
        }
        resources
    }

    /// What a pod takes whose containers request what `requests` says: the larger of what its containers need together and what
    /// any init container needs while those before it that keep running (sidecars) run; or what the pod as a whole states;
    /// plus the overhead.
    #[must_use]
    pub fn taken_by<'a>(spec: &'a PodSpec, requests: impl Fn(&'a Container) -> Option<&'a List>) -> Self {
        Self::aggregate(spec, |container| Self::of(requests(container)))
    }

    /// What a pod takes that asks for what its spec says. A container that runs counts by what it was granted if that is more,
    /// and by that alone when it cannot have what it asks for.
    #[must_use]
    pub fn requested_by(spec: &PodSpec, status: Option<&PodStatus>) -> Self {
        Self::aggregate(spec, |container| Self::of(counted(container, status).as_deref()))
    }

    /// As [`Resources::requested_by`], with a container that states nothing counted as a small one. For scores only.
    #[must_use]
    pub fn weighed_of(spec: &PodSpec, status: Option<&PodStatus>) -> Self {
        Self::aggregate(spec, |container| {
            let requests = counted(container, status);
            let mut resources = Self::of(requests.as_deref());
            let states = |name: &str| requests.as_ref().is_some_and(|list| list.contains_key(name));
            if !states("cpu") {
                resources.millicpu = UNSTATED_MILLICPU;
            }
            if !states("memory") {
                resources.memory = UNSTATED_MEMORY_BYTES;
            }
            resources
        })
    }

    fn aggregate<'a>(spec: &'a PodSpec, requests: impl Fn(&'a Container) -> Self) -> Self {
        let mut total = Self::default();
        for container in &spec.containers {
            total.add(&requests(container));
        }
        let mut sidecars = Self::default();
        let mut starting = Self::default();
        for container in spec.init_containers.iter().flatten() {
            let own = requests(container);
            if container.restart_policy.as_deref() == Some("Always") {
                total.add(&own);
                sidecars.add(&own);
                starting.raise_to(&sidecars);
            } else {
                let mut together = sidecars.clone();
                together.add(&own);
                starting.raise_to(&together);
            }
        }
        total.raise_to(&starting);
        total.replace_by(spec.resources.as_ref().and_then(|whole| whole.requests.as_ref()));
        total.add(&Self::of(spec.overhead.as_ref()));
        total
    }

    /// A pod as a whole may state cpu, memory and huge pages; its containers share them.
    fn replace_by(&mut self, whole: Option<&List>) {
        let stated = Self::of(whole);
        for name in whole.into_iter().flat_map(|whole| whole.keys()) {
            match name.as_str() {
                "cpu" => self.millicpu = stated.millicpu,
                "memory" => self.memory = stated.memory,
                other if other.starts_with("hugepages-") => {
                    self.others.insert(name.clone(), stated.others.get(other).copied().unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.millicpu += other.millicpu;
        self.memory += other.memory;
        self.ephemeral_storage += other.ephemeral_storage;
        for (name, amount) in &other.others {
            *self.others.entry(name.clone()).or_default() += amount;
        }
    }

    /// Takes away what was added before.
    pub fn subtract(&mut self, other: &Self) {
        self.millicpu -= other.millicpu;
        self.memory -= other.memory;
        self.ephemeral_storage -= other.ephemeral_storage;
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own -= amount;
            if *own == 0 {
                self.others.remove(name);
            }
        }
    }

    fn raise_to(&mut self, other: &Self) {
        self.millicpu = self.millicpu.max(other.millicpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = (*own).max(*amount);
        }
    }

    /// Whether it is more than `other` of any resource.
    #[must_use]
    pub fn exceeds(&self, other: &Self) -> bool {
        self.millicpu > other.millicpu
            || self.memory > other.memory
            || self.ephemeral_storage > other.ephemeral_storage
            || self.others.iter().any(|(name, amount)| amount > other.others.get(name).unwrap_or(&0))
    }

    /// Itself, without the resources of which it is no more than `other`.
    #[must_use]
    pub fn beyond(mut self, other: &Self) -> Self {
        for (own, other) in [
            (&mut self.millicpu, other.millicpu),
            (&mut self.memory, other.memory),
            (&mut self.ephemeral_storage, other.ephemeral_storage),
        ] {
            if *own <= other {
                *own = 0;
            }
        }
        self.others.retain(|name, amount| *amount > other.others.get(name).copied().unwrap_or_default());
        self
    }

    /// The names of the resources of which `allocatable - used` has less than `self` asks for.
    #[must_use]
    pub fn lacking(&self, allocatable: &Self, used: &Self) -> Vec<&str> {
        let mut lacking = Vec::new();
        // A pod that asks for none of a resource fits even where too much of it is taken.
        if self.millicpu > 0 && self.millicpu > allocatable.millicpu - used.millicpu {
            lacking.push("cpu");
        }
        if self.memory > 0 && self.memory > allocatable.memory - used.memory {
            lacking.push("memory");
        }
        if self.ephemeral_storage > 0 && self.ephemeral_storage > allocatable.ephemeral_storage - used.ephemeral_storage
        {
            lacking.push("ephemeral-storage");
        }
        for (name, amount) in self.others.iter().filter(|(_, amount)| **amount > 0) {
            let has = allocatable.others.get(name).unwrap_or(&0) - used.others.get(name).unwrap_or(&0);
            if *amount > has {
                lacking.push(name);
            }
        }
        lacking
    }
}

/// What a container counts for. Between a resize and what comes of it that is the larger of what it asks for and what it was
/// granted; one whose node can never give what it asks for takes no more than it was granted.
fn counted<'a>(container: &'a Container, status: Option<&'a PodStatus>) -> Option<Cow<'a, List>> {
    let wanted = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let statuses = status.into_iter().flat_map(|status| {
        let lists = [&status.container_statuses, &status.init_container_statuses];
        lists.into_iter().flatten().flatten()
    });
    let granted =
        statuses.filter(|status| status.name == container.name).find_map(|status| status.allocated_resources.as_ref());
    let (Some(granted), Some(wanted)) = (granted, wanted) else { return wanted.or(granted).map(Cow::Borrowed) };
    if wanted == granted {
        return Some(Cow::Borrowed(wanted));
    }
    let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    let infeasible = conditions.any(|condition| {
        condition.type_ == "PodResizePending"
            && condition.status == "True"
            && condition.reason.as_deref() == Some("Infeasible")
    });
    if infeasible {
        return Some(Cow::Borrowed(granted));
    }
    let mut counted = granted.clone();
    for (name, amount) in wanted {
        let parsed = |amount: &Wire| amount.0.parse::<Quantity>().unwrap_or_default();
        if granted.get(name).is_none_or(|granted| parsed(granted) < parsed(amount)) {
            counted.insert(name.clone(), amount.clone());
        }
    }
    Some(Cow::Owned(counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PodSpec {
        serde_json::from_str(text).expect("a pod spec")
    }

    #[test]
    fn init_containers_count_only_while_they_run() {
        let of = |text: &str| Resources::requested_by(&spec(text), None).millicpu;
        let main = r#"{"name":"m","resources":{"requests":{"cpu":"300m"}}}"#;
        assert_eq!(of(&format!(r#"{{"containers":[{main},{main}]}}"#)), 600);
        let init = r#"{"name":"i","resources":{"requests":{"cpu":"1"}}}"#;
        assert_eq!(of(&format!(r#"{{"containers":[{main}],"initContainers":[{init}]}}"#)), 1000);
        let sidecar = r#"{"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"200m"}}}"#;
        assert_eq!(of(&format!(r#"{{"containers":[{main}],"initContainers":[{sidecar},{init}]}}"#)), 1200);
        assert_eq!(of(&format!(r#"{{"containers":[{main}],"initContainers":[{init},{sidecar}]}}"#)), 1000);
        assert_eq!(of(&format!(r#"{{"containers":[{main}],"overhead":{{"cpu":"50m"}}}}"#)), 350);
    }

    #[test]
    fn what_a_pod_states_as_a_whole_is_what_it_takes() {
        let main = r#"{"name":"m","resources":{"requests":{"cpu":"300m","memory":"1Gi"}}}"#;
        let text = format!(
            r#"{{"containers":[{main}],"overhead":{{"cpu":"50m"}},
                "resources":{{"requests":{{"cpu":"2","ephemeral-storage":"1"}}}}}}"#
        );
        let taken = Resources::requested_by(&spec(&text), None);
        assert_eq!((taken.millicpu, taken.memory, taken.ephemeral_storage), (2050, 1 << 30, 0));
        assert_eq!(Resources::weighed_of(&spec(&text), None).millicpu, 2050);
    }

    #[test]
    fn what_is_beyond_others_is_told_by_resource() {
        let amounts = |millicpu: i128, memory: i128, gpus: i128| Resources {
            millicpu,
            memory,
            others: [("gpu".to_owned(), gpus)].into(),
            ..Resources::default()
        };
        assert_eq!(amounts(2, 2, 2).beyond(&amounts(1, 2, 3)), Resources { millicpu: 2, ..Resources::default() });
        assert_eq!(amounts(2, 3, 4).beyond(&Resources::default()), amounts(2, 3, 4));
    }

    #[test]
    fn a_pod_that_is_resized_counts_by_what_it_has_and_may_get() {
        let of = |wanted: &str, reason: &str| {
            let spec =
                spec(&format!(r#"{{"containers":[{{"name":"m","resources":{{"requests":{{"cpu":"{wanted}"}}}}}}]}}"#));
            let status = format!(
                r#"{{"containerStatuses":[{{"name":"m","image":"","imageID":"","ready":true,"restartCount":0,
                    "allocatedResources":{{"cpu":"2"}}}}],
                    "conditions":[{{"type":"PodResizePending","status":"True","reason":"{reason}"}}]}}"#
            );
            let status: PodStatus = serde_json::from_str(&status).expect("a status");
            let requested = Resources::requested_by(&spec, Some(&status)).millicpu;
            assert_eq!(Resources::weighed_of(&spec, Some(&status)).millicpu, requested);
            requested
        };
        assert_eq!(of("3", "Deferred"), 3000, "what it may get is kept for it");
        assert_eq!(of("1", "Deferred"), 2000, "what it has is not free yet");
        assert_eq!(of("1000", "Infeasible"), 2000, "what it never gets is kept from nobody");
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let amounts = |amount: i64| Resources {
            millicpu: amount.into(),
            memory: amount.into(),
            ephemeral_storage: amount.into(),
            others: [("gpu".to_owned(), amount.into())].into(),
        };
        let (small, huge) = (amounts(7), amounts(i64::MAX));
        let mut used = small.clone();
        used.add(&huge);
        used.add(&huge);
        assert_eq!(small.lacking(&huge, &used).len(), 4);
        used.subtract(&huge);
        used.subtract(&huge);
        assert_eq!(used, small);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let request =
            Resources { millicpu: 500, memory: 10, others: [("gpu".to_owned(), 1)].into(), ..Resources::default() };
        let node = Resources { millicpu: 1000, memory: 100, ..Resources::default() };
        let used = Resources { millicpu: 600, ..Resources::default() };
        assert_eq!(request.lacking(&node, &used), ["cpu", "gpu"]);
        let nothing = Resources::default();
        let overfull = Resources { millicpu: 2000, ..Resources::default() };
        assert!(nothing.lacking(&node, &overfull).is_empty());
    }
}
