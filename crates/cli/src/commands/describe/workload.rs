//! Deployments and ReplicaSets.

use serde_json::Value;

use super::{conditions, head, owners, pod_template};
use crate::commands::logs::selector_of;
use crate::render::describe::Section;
use crate::render::text;

pub(super) fn deployment(deployment: &Value, replica_sets: &[Value]) -> Section {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let mut section = head(deployment);
    section
        .field("Selector", selector_of(deployment).unwrap_or_else(|| "<none>".to_owned()))
        .field(
            "Replicas",
            format!(
                "{} desired | {} updated | {} total | {} available | {} unavailable",
                spec["replicas"].as_i64().unwrap_or(1),
                number(&status["updatedReplicas"]),
                number(&status["replicas"]),
                number(&status["availableReplicas"]),
                number(&status["unavailableReplicas"]),
            ),
        )
        .field("StrategyType", text(&spec["strategy"]["type"]))
        .field("MinReadySeconds", number(&spec["minReadySeconds"]).to_string());
    if spec["paused"] == true {
        section.field("Paused", "True");
    }
    let rolling = &spec["strategy"]["rollingUpdate"];
    if rolling.is_object() {
        section.field(
            "RollingUpdateStrategy",
            format!("{} max unavailable, {} max surge", text(&rolling["maxUnavailable"]), text(&rolling["maxSurge"])),
        );
    }
    section
        .section("Pod Template", pod_template(&spec["template"]))
        .table("Conditions", conditions(deployment, &[("Reason", "reason"), ("Message", "message")]));
    let (new, old) = by_age(replica_sets);
    section.lines("OldReplicaSets", old.into_iter().map(summary).collect());
    section.lines("NewReplicaSet", new.into_iter().map(summary).collect());
    section
}

pub(super) fn replica_set(set: &Value) -> Section {
    let (spec, status) = (&set["spec"], &set["status"]);
    let mut section = head(set);
    section
        .field("Selector", selector_of(set).unwrap_or_else(|| "<none>".to_owned()))
        .optional("Controlled By", owners(set).first().cloned().unwrap_or_default())
        .field(
            "Replicas",
            format!(
                "{} current / {} desired, {} ready, {} available",
                number(&status["replicas"]),
                spec["replicas"].as_i64().unwrap_or(1),
                number(&status["readyReplicas"]),
                number(&status["availableReplicas"]),
            ),
        )
        .section("Pod Template", pod_template(&spec["template"]))
        .table("Conditions", conditions(set, &[("Reason", "reason"), ("Message", "message")]));
    section
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn revision(set: &Value) -> i64 {
    text(&set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]).parse().unwrap_or_default()
}

/// The ReplicaSet of the latest revision, and the older ones that still have pods.
fn by_age(sets: &[Value]) -> (Option<&Value>, Vec<&Value>) {
    let mut sets: Vec<&Value> = sets.iter().collect();
    sets.sort_by_key(|set| revision(set));
    let new = sets.pop();
    sets.retain(|set| number(&set["spec"]["replicas"]) > 0 || number(&set["status"]["replicas"]) > 0);
    (new, sets)
}

fn summary(set: &Value) -> String {
    let (name, created) = (text(&set["metadata"]["name"]), number(&set["status"]["replicas"]));
    format!("{name} ({created}/{} replicas created)", number(&set["spec"]["replicas"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str, revision: &str, replicas: i64) -> Value {
        json!({"metadata": {"name": name, "annotations": {"deployment.kubernetes.io/revision": revision}},
               "spec": {"replicas": replicas}, "status": {"replicas": replicas}})
    }

    #[test]
    fn a_deployment_shows_its_rollout() {
        let containers = json!([{"name": "web", "image": "nginx"}]);
        let object = json!({
            "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
            },
            "status": {"replicas": 4, "updatedReplicas": 1, "availableReplicas": 3, "unavailableReplicas": 1},
        });
        let text = deployment(&object, &[set("c", "10", 1), set("b", "9", 3), set("a", "2", 0)]).render();
        for line in [
            "Replicas:               3 desired | 1 updated | 4 total | 3 available | 1 unavailable",
            "RollingUpdateStrategy:  0 max unavailable, 25% max surge",
            "OldReplicaSets:         b (3/3 replicas created)",
            "NewReplicaSet:          c (1/1 replicas created)",
            "      Image:        nginx",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }
}
