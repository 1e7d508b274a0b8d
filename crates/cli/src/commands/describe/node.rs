//! A node with its pods.

use jiff::Timestamp;
use keelson_types::quantity::Quantity;
use keelson_types::table::age;
use serde_json::Value;

use super::{conditions, head, map_lines};
use crate::render::describe::Section;
use crate::render::table::Table;
use crate::render::{items, text};

pub(super) fn describe(node: &Value, lease: Option<&Value>, pods: &[Value], now: Timestamp) -> Section {
    let (spec, status) = (&node["spec"], &node["status"]);
    let taints = items(&spec["taints"]).iter().map(|taint| {
        let value = text(&taint["value"]);
        let value = if value.is_empty() { value } else { format!("={value}") };
        format!("{}{value}:{}", text(&taint["key"]), text(&taint["effect"]))
    });
    let mut section = head(node);
    section
        .field("Roles", roles(node))
        .lines("Taints", taints.collect())
        .field("Unschedulable", (spec["unschedulable"] == true).to_string());
    if let Some(lease) = lease {
        let mut held = Section::new();
        held.field("HolderIdentity", text(&lease["spec"]["holderIdentity"]));
        held.field("RenewTime", text(&lease["spec"]["renewTime"]));
        section.section("Lease", held);
    }
    let columns = [("LastTransitionTime", "lastTransitionTime"), ("Reason", "reason"), ("Message", "message")];
    section.table("Conditions", conditions(node, &columns));
    let addresses = items(&status["addresses"]).iter();
    section.lines(
        "Addresses",
        addresses.map(|address| format!("{}: {}", text(&address["type"]), text(&address["address"]))).collect(),
    );
    for (title, field) in [("Capacity", "capacity"), ("Allocatable", "allocatable"), ("System Info", "nodeInfo")] {
        section.lines(title, map_lines(&status[field], ':'));
    }
    let running: Vec<&Value> = pods.iter().filter(|pod| !is_over(pod)).collect();
    section.table(&format!("Non-terminated Pods ({} in total)", running.len()), pod_table(&running, now));
    section.table("Allocated resources", allocated(&running, &status["allocatable"]));
    section
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn is_over(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
}

fn pod_table(pods: &[&Value], now: Timestamp) -> Table {
    let mut table =
        Table::new(["Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"]);
    for pod in pods {
        table.row([
            text(&pod["metadata"]["namespace"]),
            text(&pod["metadata"]["name"]),
            total([*pod], "requests", "cpu").to_string(),
            total([*pod], "limits", "cpu").to_string(),
            total([*pod], "requests", "memory").to_string(),
            total([*pod], "limits", "memory").to_string(),
            age(&pod["metadata"]["creationTimestamp"], now),
        ]);
    }
    table
}

fn allocated(pods: &[&Value], allocatable: &Value) -> Table {
    let mut table = Table::new(["Resource", "Requests", "Limits"]);
    for resource in ["cpu", "memory"] {
        let limit = quantity(&allocatable[resource]).millis();
        let share = |which: &str| {
            let total = total(pods.iter().copied(), which, resource);
            let percent = i128::from(total.millis()) * 100;
            if limit > 0 { format!("{total} ({}%)", percent / i128::from(limit)) } else { total.to_string() }
        };
        table.row([resource.to_owned(), share("requests"), share("limits")]);
    }
    table
}

/// The sum over all containers; init containers run before the others and count as far as they exceed them.
fn total<'a>(pods: impl IntoIterator<Item = &'a Value>, which: &str, resource: &str) -> Quantity {
    let of = |container: &Value| quantity(&container["resources"][which][resource]);
    pods.into_iter().fold(Quantity::default(), |sum, pod| {
        let spec = &pod["spec"];
        let together = items(&spec["containers"]).iter().map(of).fold(Quantity::default(), |sum, next| sum + next);
        let largest = items(&spec["initContainers"]).iter().map(of).max().unwrap_or_default();
        sum + together.max(largest)
    })
}

fn quantity(value: &Value) -> Quantity {
    text(value).parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::color::Color;

    fn pod(name: &str, phase: &str, cpu: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default", "creationTimestamp": "1970-01-01T00:00:00Z"},
               "spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}]},
               "status": {"phase": phase}})
    }

    #[test]
    fn what_pods_ask_for_is_summed_up() {
        let pods = [pod("a", "Running", "250m"), pod("b", "Pending", "1")];
        let running: Vec<&Value> = pods.iter().collect();
        let text = allocated(&running, &json!({"cpu": "4", "memory": "1Gi"})).render(Color::new(false));
        assert_eq!(text.lines().nth(1), Some("cpu        1250m (31%)   0 (0%)"));
        assert_eq!(text.lines().nth(2), Some("memory     128Mi (12%)   0 (0%)"));
    }

    #[test]
    fn pods_that_are_over_are_left_out() {
        let node = json!({"metadata": {"name": "node-1", "labels": {"node-role.kubernetes.io/worker": ""}},
                          "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}, "status": {}});
        let pods = [pod("a", "Running", "1"), pod("b", "Succeeded", "1")];
        let text = describe(&node, None, &pods, Timestamp::UNIX_EPOCH).render();
        assert!(text.contains("Non-terminated Pods (1 in total):") && !text.contains(" b "), "{text}");
        assert!(text.lines().any(|line| line.starts_with("Roles:") && line.ends_with("worker")), "{text}");
        assert!(text.contains("k=v:NoSchedule"), "{text}");
    }
}
