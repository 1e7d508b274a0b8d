//! What nodes and pods use: objects of `metrics.k8s.io`, made when somebody asks, of what nodes have measured.
//!
//! **Invariant**: nothing is told that was not measured: a pod whose node does not answer, or has not begun to run it, is left out, and so is
//! that node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use keelson_proto::keelson::node::v1::{ContainerUsage, NodeUsage, Used};
use keelson_types::quantity::Quantity;
use keelson_types::status::Status;
use keelson_types::{Kind, duration_go};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Pipeline;
use super::list::{Items, List};
use super::request::{ListOptions, ReadVersion, Target};
use crate::cache::Object;
use crate::keys;
use crate::select::Selection;

const RUNNING: &str = "Running";

/// What is told of a node or a pod beside what it uses.
#[derive(Deserialize)]
struct About {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Pipeline {
    /// What one node or pod uses.
    ///
    /// # Errors
    /// NotFound when it does not exist, or nothing was measured.
    pub(super) async fn measured(&self, target: &Target) -> Result<Bytes, Status> {
        let kind = target.kind;
        let missing = || Status::not_found(kind.group, kind.plural, &target.name);
        if self.is_component(kind) {
            let components = self.components(self.caches.revision()).await?;
            let found = components.iter().find(|component| component.name() == target.name);
            return found.map(|object| object.json().clone()).ok_or_else(missing);
        }
        let path = keys::path(&target.namespace, &target.name);
        let object = self.caches.get(self.measured_of(kind), &path).ok_or_else(missing)?;
        let measured = self.measure(kind, vec![object]).await?;
        measured.first().map(|object| object.json().clone()).ok_or_else(missing)
    }

    /// What nodes or pods use, in one answer: a page of what is measured anew would belong to no other. Label selectors are about the
    /// nodes' and pods' own labels.
    ///
    /// # Errors
    /// BadRequest for what asks for a state of the past.
    pub(super) async fn list_measured(&self, target: &Target, options: ListOptions) -> Result<List, Status> {
        if !options.continue_token.is_empty() {
            return Err(Status::bad_request("continue key is not valid"));
        }
        if matches!(options.version, ReadVersion::Exact(_)) {
            return Err(Status::bad_request("what is measured is of now: it has no earlier states"));
        }
        let kind = target.kind;
        let selection = Selection::parse(kind, &target.namespace, &options.label_selector, &options.field_selector)?;
        self.await_version(options.version).await?;
        if self.is_component(kind) {
            let revision = self.caches.revision();
            let mut components = self.components(revision).await?;
            components.retain(|component| selection.matches(component));
            return Ok(whole(revision, components));
        }
        let (objects, revision) = self.caches.snapshot(self.measured_of(kind));
        let selected = Items::snapshot(objects, Arc::new(selection)).collect();
        Ok(whole(revision, self.measure(kind, selected).await?))
    }

    fn is_component(&self, kind: &'static Kind) -> bool {
        std::ptr::eq(kind, self.kinds.components)
    }

    /// The kind of what is measured.
    fn measured_of(&self, kind: &'static Kind) -> &'static Kind {
        if kind.namespaced { self.kinds.pods } else { self.kinds.nodes }
    }

    /// What those of the objects use that were measured.
    async fn measure(&self, kind: &'static Kind, objects: Vec<Arc<Object>>) -> Result<Vec<Arc<Object>>, Status> {
        let nodes: BTreeSet<String> =
            objects.iter().filter_map(|object| node_of(kind, object)).map(str::to_owned).collect();
        let usages: HashMap<String, Arc<NodeUsage>> = self.usages.of(nodes).await;
        let measured = objects.iter().filter_map(|object| {
            let usage = usages.get(node_of(kind, object)?)?;
            of_object(kind, object, usage).transpose()
        });
        measured.collect()
    }
}

/// A list in one answer.
fn whole(revision: i64, objects: Vec<Arc<Object>>) -> List {
    List { resource_version: revision, continue_token: String::new(), remaining: None, items: Items::page(objects) }
}

/// The node that knows what an object uses.
fn node_of<'a>(kind: &Kind, object: &'a Object) -> Option<&'a str> {
    if !kind.namespaced {
        return Some(object.name());
    }
    let runs = object.field("status.phase") == Some(RUNNING);
    object.field("spec.nodeName").filter(|node| runs && !node.is_empty())
}

/// The object's measurement; None when there is none. Its resourceVersion is that of the object, as it was measured at that.
fn of_object(kind: &'static Kind, object: &Object, usage: &NodeUsage) -> Result<Option<Arc<Object>>, Status> {
    let about: About = serde_json::from_slice(object.json()).map_err(Status::internal)?;
    let Ok(at) = Timestamp::from_millisecond(usage.measured_at_ms) else { return Ok(None) };
    let mut measured = json!({
        "kind": kind.kind,
        "apiVersion": kind.api_version(),
        "metadata": {"name": object.name(), "creationTimestamp": time(at)},
        "timestamp": time(at),
    });
    if !object.namespace().is_empty() {
        measured["metadata"]["namespace"] = object.namespace().into();
    }
    if let Some(labels) = about.metadata.labels {
        measured["metadata"]["labels"] = json!(labels);
    }
    if kind.namespaced {
        let containers = usage.containers.iter().filter(|container| container.pod_uid == about.metadata.uid);
        let mut containers: Vec<&ContainerUsage> = containers.collect();
        // What holds for all of the pod holds for its youngest container.
        let Some(window_ms) = containers.iter().map(|container| container.window_ms).min() else { return Ok(None) };
        containers.sort_by(|one, other| one.name.cmp(&other.name));
        measured["window"] = window(window_ms);
        measured["containers"] = containers
            .into_iter()
            .map(|container| json!({"name": container.name, "usage": amounts(container.used.as_ref())}))
            .collect();
    } else {
        measured["window"] = window(usage.window_ms);
        measured["usage"] = amounts(usage.used.as_ref());
    }
    let text = serde_json::to_vec(&measured).map_err(Status::internal)?;
    let measured = Object::decode(kind, object.path(), &text, object.revision()).map_err(Status::internal)?;
    Ok(Some(Arc::new(measured)))
}

fn time(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn window(ms: u32) -> Value {
    duration_go(SignedDuration::from_millis(ms.into())).into()
}

fn amounts(used: Option<&Used>) -> Value {
    let Used { cpu_nanocores, memory_bytes } = used.copied().unwrap_or_default();
    let capped = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
    json!({
        "cpu": Quantity::from_nanos(capped(cpu_nanocores)).to_string(),
        "memory": Quantity::from_bytes(capped(memory_bytes)).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;

    use super::*;

    fn kind(plural: &str) -> &'static Kind {
        registry::by_resource("metrics.k8s.io", plural).expect("is registered")
    }

    fn pod(phase: &str) -> Object {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web"}},
            "spec": {"nodeName": "node-1"}, "status": {"phase": phase},
        });
        let pods = registry::by_resource("", "pods").expect("is registered");
        Object::decode(pods, "n/p", pod.to_string().as_bytes(), 7).expect("is an object")
    }

    fn container(pod_uid: &str, name: &str, window_ms: u32, cpu_nanocores: u64, memory_bytes: u64) -> ContainerUsage {
        let used = Some(Used { cpu_nanocores, memory_bytes });
        ContainerUsage { pod_uid: pod_uid.to_owned(), name: name.to_owned(), window_ms, used }
    }

    fn usage(containers: Vec<ContainerUsage>) -> NodeUsage {
        let used = Some(Used { cpu_nanocores: 1_250_000_000, memory_bytes: 3 << 30 });
        NodeUsage { measured_at_ms: 1_800_000_000_500, window_ms: 10_000, used, containers }
    }

    #[test]
    fn a_pod_has_what_its_own_containers_use() {
        let usage = usage(vec![
            container("u", "sidecar", 10_000, 2_500_000, 64 << 20),
            container("former", "main", 10_000, 9, 9),
            container("u", "main", 2_500, 250_000_000, (1 << 20) + 1),
        ]);
        let measured = of_object(kind("pods"), &pod(RUNNING), &usage).expect("fits").expect("is measured");
        let expected = json!({
            "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {
                "name": "p", "namespace": "n", "labels": {"app": "web"}, "resourceVersion": "7",
                "creationTimestamp": "2027-01-15T08:00:00Z",
            },
            "timestamp": "2027-01-15T08:00:00Z", "window": "2.5s",
            "containers": [
                {"name": "main", "usage": {"cpu": "250m", "memory": "1048577"}},
                {"name": "sidecar", "usage": {"cpu": "2500u", "memory": "64Mi"}},
            ],
        });
        assert_eq!(measured.value().expect("is JSON"), expected);
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let others = usage(vec![container("former", "main", 10_000, 9, 9)]);
        assert!(of_object(kind("pods"), &pod(RUNNING), &others).expect("fits").is_none());
        assert_eq!(node_of(kind("pods"), &pod(RUNNING)), Some("node-1"));
        assert_eq!(node_of(kind("pods"), &pod("Succeeded")), None);
    }

    #[test]
    fn a_node_has_what_it_uses_as_a_whole() {
        let nodes = registry::by_resource("", "nodes").expect("is registered");
        let node = Object::decode(nodes, "node-1", br#"{"metadata":{"name":"node-1"}}"#, 7).expect("is an object");
        let measured = of_object(kind("nodes"), &node, &usage(Vec::new())).expect("fits").expect("is measured");
        let measured = measured.value().expect("is JSON");
        assert_eq!((&measured["kind"], &measured["window"]), (&json!("NodeMetrics"), &json!("10s")));
        assert_eq!(measured["usage"], json!({"cpu": "1250m", "memory": "3Gi"}));
        assert_eq!(node_of(kind("nodes"), &node), Some("node-1"));
    }
}
