//! The roles and bindings that every cluster has from its first start.
//!
//! `defaults.txt` has them, a line each. A role's rules are `verbs groups resources`, comma-separated, with `core` for the
//! group without a name; a path stands where a resource would.

use keelson_types::Kind;
use serde_json::{Value, json};

use super::{GROUP, policy};

const TABLE: &str = include_str!("defaults.txt");
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// All of them, as objects, roles before bindings.
pub fn objects() -> Vec<Value> {
    let mut roles: Vec<Value> = Vec::new();
    let mut bindings: Vec<Value> = Vec::new();
    for line in TABLE.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), roles.last_mut()) {
            (["role", name, labels @ ..], _) => {
                let mut role = object("ClusterRole", name);
                role["rules"] = json!([]);
                for part in labels.iter().filter_map(|label| label.strip_prefix("into=")) {
                    role["metadata"]["labels"][format!("{AGGREGATE}{part}")] = "true".into();
                }
                for part in labels.iter().filter_map(|label| label.strip_prefix("from=")) {
                    let selector = json!({"matchLabels": {format!("{AGGREGATE}{part}"): "true"}});
                    role["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
                }
                roles.push(role);
            }
            (["bind", role, kind, subject], _) => bindings.push(binding(role, kind, subject)),
            (["bind", role, kind, subject, name], _) => {
                let mut binding = binding(role, kind, subject);
                binding["metadata"]["name"] = (*name).into();
                bindings.push(binding);
            }
            ([verbs, groups, resources], Some(role)) => add_rule(role, verbs, groups, resources),
            ([verbs, path], Some(role)) => add_rule(role, verbs, "", path),
            _ => {}
        }
    }
    fill(&mut roles);
    roles.extend(bindings);
    roles
}

/// The kind of one of them.
pub fn kind(object: &Value) -> Option<&'static Kind> {
    keelson_types::registry::by_kind(GROUP, object["kind"].as_str()?)
}

fn object(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    })
}

fn add_rule(role: &mut Value, verbs: &str, groups: &str, resources: &str) {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let rule = if resources.starts_with('/') || groups.is_empty() {
        json!({"verbs": list(verbs), "nonResourceURLs": list(resources)})
    } else {
        let groups: Vec<String> =
            list(groups).into_iter().map(|group| if group == "core" { String::new() } else { group }).collect();
        json!({"verbs": list(verbs), "apiGroups": groups, "resources": list(resources)})
    };
    if let Some(rules) = role["rules"].as_array_mut() {
        rules.push(rule);
    }
}

fn binding(role: &str, kind: &str, subject: &str) -> Value {
    let mut binding = object("ClusterRoleBinding", role);
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": role});
    let subject = match subject.split_once('/') {
        Some((namespace, name)) => json!({"kind": kind, "namespace": namespace, "name": name}),
        None => json!({"kind": kind, "apiGroup": GROUP, "name": subject}),
    };
    binding["subjects"] = json!([subject]);
    binding
}

/// Shows in a role that aggregates what it comes to. What counts is computed when a request asks.
fn fill(roles: &mut [Value]) {
    let all = roles.to_vec();
    let others: Vec<&Value> = all.iter().collect();
    for role in roles.iter_mut().filter(|role| role["aggregationRule"].is_object()) {
        let rules = policy::aggregated(&role["aggregationRule"], &others);
        role["rules"] = rules.iter().map(super::Rule::to_value).collect();
    }
}
