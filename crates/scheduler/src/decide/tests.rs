use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn node(name: &str, cpu: &str, extra: serde_json::Value) -> Node {
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": {},
        "status": { "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" } },
    });
    for (key, value) in extra.as_object().cloned().unwrap_or_default() {
        node["spec"][key] = value;
    }
    serde_json::from_value(node).expect("a node")
}

fn pod(name: &str, owner: &str, cpu: &str, extra: serde_json::Value) -> PodInfo {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "containers": [{ "name": "main", "resources": { "requests": { "cpu": cpu } } }] },
    });
    if !owner.is_empty() {
        pod["metadata"]["ownerReferences"] =
            json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true }]);
    }
    for (key, value) in extra.as_object().cloned().unwrap_or_default() {
        pod["spec"][key] = value;
    }
    PodInfo::of(&serde_json::from_value::<Pod>(pod).expect("a pod"))
}

fn cluster(nodes: &[Node]) -> Cluster {
    let mut cluster = Cluster::default();
    for node in nodes {
        cluster.set_node(node);
    }
    cluster
}

/// "pod→node" or "pod: message", in the order of the decisions.
fn outcome(decisions: &[Decision]) -> Vec<String> {
    let text = |decision: &Decision| match decision {
        Decision::Place { pod, node } => format!("{}→{node}", pod.key.name),
        Decision::Reject { pod, refusal } => format!("{}: {}", pod.key.name, refusal.message),
    };
    decisions.iter().map(text).collect()
}

#[test]
fn pods_of_one_owner_are_spread() {
    let mut cluster = cluster(&["a", "b", "c"].map(|name| node(name, "4", json!({}))));
    let pods = (0..6).map(|i| pod(&format!("p{i}"), "rs", "100m", json!({}))).collect();
    let decisions = decide(&mut cluster, pods, 7);
    for name in ["a", "b", "c"] {
        assert_eq!(cluster.node(name).expect("a node").pods, 2, "{:?}", outcome(&decisions));
    }
}

#[test]
fn a_refusal_counts_the_reasons() {
    let nodes = [
        node("small", "1", json!({})),
        node("cordoned", "8", json!({ "unschedulable": true })),
        node("tainted", "8", json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] })),
    ];
    let mut cluster = cluster(&nodes);
    let decisions = decide(&mut cluster, vec![pod("big", "", "2", json!({}))], 1);
    assert_eq!(
        outcome(&decisions),
        ["big: 0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {gpu: yes}, \
          1 node(s) were unschedulable."]
    );
    let Decision::Reject { refusal, .. } = &decisions[0] else { panic!("placed") };
    assert!(refusal.helped_by.contains(&Event::PodGone) && refusal.helped_by.contains(&Event::Node));
}

#[test]
fn without_nodes_it_says_so() {
    let decisions = decide(&mut Cluster::default(), vec![pod("p", "", "1", json!({}))], 1);
    assert_eq!(outcome(&decisions), ["p: no nodes available to schedule pods"]);
}

#[test]
fn higher_priority_goes_first() {
    let mut cluster = cluster(&[node("only", "1", json!({}))]);
    let pods = vec![pod("low", "", "1", json!({})), pod("high", "", "1", json!({ "priority": 10 }))];
    let decisions = decide(&mut cluster, pods, 1);
    assert_eq!(outcome(&decisions), ["high→only", "low: 0/1 nodes are available: 1 Insufficient cpu."]);
}

#[test]
fn selectors_affinity_and_tolerations_are_kept() {
    let tainted = json!({ "taints": [{ "key": "gpu", "effect": "NoExecute" }] });
    let nodes = [node("a", "4", json!({})), node("b", "4", tainted)];
    for (extra, expected) in [
        (json!({ "nodeSelector": { "kubernetes.io/hostname": "a" } }), "p→a"),
        (
            json!({ "nodeSelector": { "kubernetes.io/hostname": "z" } }),
            "p: 0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
          1 node(s) had untolerated taint {gpu: }.",
        ),
        (
            json!({ "tolerations": [{ "operator": "Exists" }], "nodeSelector": { "kubernetes.io/hostname": "b" } }),
            "p→b",
        ),
        (
            json!({ "tolerations": [{ "operator": "Exists" }], "affinity": { "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 50, "preference": {
                "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["b"] }] } }] } } }),
            "p→b",
        ),
        (
            json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["a"] }] }] } } } }),
            "p: 0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
          1 node(s) had untolerated taint {gpu: }.",
        ),
    ] {
        let decisions = decide(&mut cluster(&nodes), vec![pod("p", "", "1", extra.clone())], 3);
        assert_eq!(outcome(&decisions), [expected], "{extra}");
    }
}

#[test]
fn one_host_port_is_given_once_a_node() {
    let mut cluster = cluster(&[node("a", "4", json!({})), node("b", "4", json!({}))]);
    let ported = |name: &str| {
        pod(
            name,
            "",
            "1",
            json!({ "containers": [{ "name": "m", "ports": [{ "containerPort": 80, "hostPort": 80 }] }] }),
        )
    };
    let decisions = decide(&mut cluster, vec![ported("p"), ported("q"), ported("r")], 1);
    let refused = "r: 0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.";
    assert_eq!(outcome(&decisions)[2], refused);
}

proptest! {
    #[test]
    fn a_node_is_never_given_more_than_it_has(
        nodes in prop::collection::vec(1_i64..8, 1..6),
        batches in prop::collection::vec(prop::collection::vec((1_i64..30, 0_u8..3, 0_i32..2), 1..30), 1..5),
        seed in any::<u64>(),
    ) {
        let nodes: Vec<Node> =
            nodes.iter().enumerate().map(|(i, cpu)| node(&format!("n{i}"), &cpu.to_string(), json!({}))).collect();
        let mut cluster = cluster(&nodes);
        let mut number = 0;
        for batch in batches {
            let pods: Vec<PodInfo> = batch.iter().map(|(tenths, owner, priority)| {
                number += 1;
                pod(&format!("p{number}"), &format!("o{owner}"), &format!("{}m", tenths * 100), json!({ "priority": priority }))
            }).collect();
            let smallest = pods.iter().map(|pod| pod.shape.requests.millicpu).min().unwrap_or(0);
            let decisions = decide(&mut cluster, pods, seed);
            prop_assert_eq!(cluster.validate(), Ok(()));
            let mut refused_smallest = false;
            for decision in &decisions {
                if let Decision::Reject { pod, .. } = decision {
                    refused_smallest |= pod.shape.requests.millicpu == smallest;
                }
            }
            for node in cluster.snapshot() {
                let free = node.allocatable.millicpu - node.requested.millicpu;
                prop_assert!(free >= 0, "{} is overcommitted by {}", node.name, -free);
                // Nothing is refused that would have fitted.
                prop_assert!(!refused_smallest || free < smallest, "{} has {free} free", node.name);
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_decisions(pods in 1_usize..40, seed in any::<u64>()) {
        let nodes: Vec<Node> = (0..5).map(|i| node(&format!("n{i}"), "4", json!({}))).collect();
        let run = || {
            let pods = (0..pods).map(|i| pod(&format!("p{i}"), "rs", "300m", json!({}))).collect();
            outcome(&decide(&mut cluster(&nodes), pods, seed))
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn a_pod_that_shrinks_makes_room() {
    let mut cluster = cluster(&[node("a", "4", json!({}))]);
    let asks = |cpu: &str| pod("p", "", cpu, json!({ "nodeName": "a" }));
    assert!(!cluster.set_bound(&asks("2")), "it is new");
    assert!(!cluster.set_bound(&asks("3")), "it grew");
    assert!(cluster.set_bound(&asks("1")), "it shrank");
    assert!(!cluster.set_bound(&asks("1")), "it is the same");
    assert_eq!(cluster.node("a").expect("a node").requested.millicpu, 1000);
}
