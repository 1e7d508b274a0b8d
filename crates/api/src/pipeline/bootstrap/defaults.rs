//! What every cluster has from its first start and clients list, beside roles: pure.
//!
//! Statuses are told apart from the objects, for they are written by a subresource of their own.

use keelson_types::registry;
use serde_json::{Value, json};

use crate::pipeline::{CLUSTER_IPS_BITS, FIRST_CLUSTER_IP};

/// Of the core group, as in Kubernetes; higher than that of all others.
const CORE_PRIORITY: i64 = 18_000;
const GROUP_PRIORITY: i64 = 17_000;
/// Between two versions of a group.
const VERSION_PRIORITY: i64 = 15;
/// The flow of requests that are always served, and that of all that no other flow is for.
const EXEMPT: &str = "exempt";
const CATCH_ALL: &str = "catch-all";

/// All of them; the statuses of those that have one are in them. `now` is when the conditions began.
pub fn objects(now: &Value) -> Vec<Value> {
    let mut objects = priority_classes();
    objects.extend(api_services(now));
    objects.push(service_cidr(now));
    objects.extend(flows(now));
    objects
}

/// For pods without which a cluster or a node does not work.
fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i64, what: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": format!("Used for system critical pods that must {what}."),
        })
    };
    vec![
        class(
            "system-cluster-critical",
            2_000_000_000,
            "run in the cluster, but can be moved to another node if necessary",
        ),
        class("system-node-critical", 2_000_001_000, "not be moved from their current node"),
    ]
}

/// Every group and version that the program itself serves, a group's preferred version first.
fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for kind in registry::all() {
        if !found.contains(&(kind.group, kind.version)) {
            found.push((kind.group, kind.version));
        }
    }
    found
}

fn api_services(now: &Value) -> Vec<Value> {
    let all = group_versions();
    let service = |&(group, version): &(&str, &str)| {
        let mut versions = all.iter().filter(|(other, _)| *other == group).rev();
        let rank = versions.position(|(_, other)| *other == version).unwrap_or(0) as i64 + 1;
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {
                "name": format!("{version}.{group}"),
                "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"},
            },
            "spec": {
                "group": group, "version": version,
                "groupPriorityMinimum": if group.is_empty() { CORE_PRIORITY } else { GROUP_PRIORITY },
                "versionPriority": rank * VERSION_PRIORITY,
            },
            "status": {"conditions": [{
                "type": "Available", "status": "True", "reason": "Local", "lastTransitionTime": now,
                "message": "The group is served by this API server itself.",
            }]},
        })
    };
    all.iter().map(service).collect()
}

/// Where Services' addresses are from.
fn service_cidr(now: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [format!("{FIRST_CLUSTER_IP}/{CLUSTER_IPS_BITS}")]},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": now,
            "message": "Services get addresses of it.",
        }]},
    })
}

/// The two levels of priority that Kubernetes cannot do without, and which requests are theirs.
fn flows(now: &Value) -> Vec<Value> {
    let metadata = |name: &str| json!({"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}});
    let level = |name: &str, spec: Value| {
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": metadata(name), "spec": spec,
        })
    };
    let flow = |name: &str, precedence: i64, groups: &[&str]| {
        let subjects: Vec<Value> =
            groups.iter().map(|group| json!({"kind": "Group", "group": {"name": group}})).collect();
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": metadata(name),
            "spec": {
                "matchingPrecedence": precedence,
                "priorityLevelConfiguration": {"name": name},
                "rules": [{
                    "subjects": subjects,
                    "resourceRules": [{
                        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
                    }],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                }],
            },
            "status": {"conditions": [{
                "type": "Dangling", "status": "False", "reason": "Found", "lastTransitionTime": now,
                "message": "The level of priority is there.",
            }]},
        })
    };
    let mut rest = flow(CATCH_ALL, 10_000, &["system:unauthenticated", "system:authenticated"]);
    rest["spec"]["distinguisherMethod"] = json!({"type": "ByUser"});
    vec![
        level(EXEMPT, json!({"type": "Exempt", "exempt": {}})),
        level(
            CATCH_ALL,
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}),
        ),
        flow(EXEMPT, 1, &["system:masters"]),
        rest,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_their_kinds_allow() {
        let now = json!("2026-01-02T03:04:05Z");
        let all = objects(&now);
        for object in &all {
            let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/')).expect("a group").0;
            let kind = registry::by_kind(group, object["kind"].as_str().expect("a kind")).expect("is a kind");
            let mut decoded = kind.decode_value(object.clone()).expect("is decoded");
            assert_eq!(decoded.strict_error(), None, "{object}");
            decoded.object["metadata"]["uid"] = "own".into();
            kind.default(&mut decoded.object);
            let wrong: Vec<String> = kind.validate_create(&decoded.object).iter().map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{object}: {wrong:?}");
        }
        let named = |name: &str| all.iter().find(|object| object["metadata"]["name"] == name);
        assert_eq!(named("v1.").expect("is there")["spec"]["groupPriorityMinimum"], CORE_PRIORITY);
        assert_eq!(named("v2.autoscaling").expect("is there")["spec"]["versionPriority"], 30, "it is preferred");
        assert_eq!(named("v1.autoscaling").expect("is there")["spec"]["versionPriority"], 15);
        assert_eq!(named("kubernetes").expect("is there")["spec"]["cidrs"], json!(["10.96.0.0/12"]));
    }
}
