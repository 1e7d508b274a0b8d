//! Amounts of resources, as integers that can be added and compared: millicores, bytes, counts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
use keelson_types::quantity::Quantity;

/// Kubernetes counts a container that asks for nothing as this much when it *scores* nodes, so that such pods spread too.
const UNSTATED_MILLICPU: i64 = 100;
const UNSTATED_MEMORY_BYTES: i64 = 200 << 20;

/// What a pod asks for, or a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Thousandths of a core.
    pub millicpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else, by name: huge pages, devices.
    pub others: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a list of quantities. One that cannot be parsed counts as 0; validation keeps those out.
    #[must_use]
    pub fn of(list: Option<&BTreeMap<String, Wire>>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list.into_iter().flatten() {
            let Ok(quantity) = quantity.0.parse::<Quantity>() else { continue };
            match name.as_str() {
                "cpu" => resources.millicpu = quantity.millis(),
                "memory" => resources.memory = quantity.units(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.units(),
                "pods" => {}
                _ => {
                    resources.others.insert(name.clone(), quantity.units());
                }
            }
        }
        resources
    }

    /// What a pod asks for: the larger of what its containers need together and what any init container needs while those
    /// before it that keep running (sidecars) run; plus the overhead.
    #[must_use]
    pub fn requested_by(spec: &PodSpec) -> Self {
        Self::aggregate(spec, Self::of)
    }

    /// As [`Resources::requested_by`], with a container that states nothing counted as a small one. For scores only.
    #[must_use]
    pub fn weighed_of(spec: &PodSpec) -> Self {
        Self::aggregate(spec, |container| {
            let mut resources = Self::of(container);
            let states = |name: &str| container.is_some_and(|list| list.contains_key(name));
            if !states("cpu") {
                resources.millicpu = UNSTATED_MILLICPU;
            }
            if !states("memory") {
                resources.memory = UNSTATED_MEMORY_BYTES;
            }
            resources
        })
    }

    fn aggregate(spec: &PodSpec, read: impl Fn(Option<&BTreeMap<String, Wire>>) -> Self) -> Self {
        let requests = |container: &k8s_openapi::api::core::v1::Container| {
            read(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
        };
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
        total.add(&Self::of(spec.overhead.as_ref()));
        total
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.millicpu = self.millicpu.saturating_add(other.millicpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.saturating_add(other.ephemeral_storage);
        for (name, amount) in &other.others {
            let own = self.others.entry(name.clone()).or_default();
            *own = own.saturating_add(*amount);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PodSpec {
        serde_json::from_str(text).expect("a pod spec")
    }

    #[test]
    fn init_containers_count_only_while_they_run() {
        let of = |text: &str| Resources::requested_by(&spec(text)).millicpu;
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
