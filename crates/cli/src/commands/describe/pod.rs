//! A pod, and the template of one.

mod container;

use serde_json::Value;

use self::container::containers;
use super::{conditions, head, map_lines, owners};
use crate::render::describe::Section;
use crate::render::{items, or_none, text};

pub(super) fn describe(pod: &Value) -> Section {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let mut section = head(pod);
    let node = text(&spec["nodeName"]);
    let host = text(&status["hostIP"]);
    let phase = if pod["metadata"]["deletionTimestamp"].is_string() {
        format!("Terminating (grace period {}s)", text(&pod["metadata"]["deletionGracePeriodSeconds"]))
    } else {
        text(&status["phase"])
    };
    section
        .optional("Priority", text(&spec["priority"]))
        .optional("Service Account", text(&spec["serviceAccountName"]))
        .field("Node", if host.is_empty() { or_none(&spec["nodeName"]) } else { format!("{node}/{host}") })
        .optional("Start Time", text(&status["startTime"]))
        .field("Status", phase)
        .optional("Reason", text(&status["reason"]))
        .optional("Message", text(&status["message"]))
        .field("IP", or_none(&status["podIP"]))
        .optional("Controlled By", owners(pod).first().cloned().unwrap_or_default());
    if !items(&spec["initContainers"]).is_empty() {
        section.section("Init Containers", containers(&spec["initContainers"], &status["initContainerStatuses"]));
    }
    section
        .section("Containers", containers(&spec["containers"], &status["containerStatuses"]))
        .table("Conditions", conditions(pod, &[("Reason", "reason"), ("Message", "message")]));
    volumes_and_placement(&mut section, spec);
    section.optional("QoS Class", text(&status["qosClass"]));
    section
}

/// The pods that a template makes.
pub(crate) fn template(template: &Value) -> Section {
    let spec = &template["spec"];
    let mut section = Section::new();
    section.lines("Labels", map_lines(&template["metadata"]["labels"], '='));
    let annotations = map_lines(&template["metadata"]["annotations"], ':');
    if !annotations.is_empty() {
        section.lines("Annotations", annotations);
    }
    section.optional("Service Account", text(&spec["serviceAccountName"]));
    if !items(&spec["initContainers"]).is_empty() {
        section.section("Init Containers", containers(&spec["initContainers"], &Value::Null));
    }
    section.section("Containers", containers(&spec["containers"], &Value::Null));
    volumes_and_placement(&mut section, spec);
    section
}

fn volumes_and_placement(section: &mut Section, spec: &Value) {
    let volumes: Vec<String> = items(&spec["volumes"])
        .iter()
        .map(|volume| {
            let source = volume.as_object().into_iter().flatten().find(|(key, _)| *key != "name");
            format!("{} ({})", text(&volume["name"]), source.map_or("", |(key, _)| key.as_str()))
        })
        .collect();
    if !volumes.is_empty() {
        section.lines("Volumes", volumes);
    }
    section.lines("Node-Selectors", map_lines(&spec["nodeSelector"], '='));
    section.lines("Tolerations", items(&spec["tolerations"]).iter().map(toleration).collect());
}

/// `node.kubernetes.io/not-ready:NoExecute op=Exists for 300s`
fn toleration(toleration: &Value) -> String {
    let mut line = text(&toleration["key"]);
    let value = text(&toleration["value"]);
    if !value.is_empty() {
        line.push_str(&format!("={value}"));
    }
    let effect = text(&toleration["effect"]);
    if !effect.is_empty() {
        line.push_str(&format!(":{effect}"));
    }
    if toleration["operator"] == "Exists" {
        line.push_str(" op=Exists");
    }
    let seconds = text(&toleration["tolerationSeconds"]);
    if !seconds.is_empty() {
        line.push_str(&format!(" for {seconds}s"));
    }
    line.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_shows_what_a_person_looks_for() {
        let pod = json!({
            "metadata": {
                "name": "web-1", "namespace": "default", "labels": {"app": "web"},
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9c", "controller": true}],
            },
            "spec": {
                "nodeName": "node-1",
                "containers": [{
                    "name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
                    "env": [{"name": "A", "value": "1"},
                            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                    "resources": {"requests": {"cpu": "100m"}},
                    "readinessProbe": {"httpGet": {"port": 80, "path": "/ready"}},
                }],
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                                 "tolerationSeconds": 300}],
            },
            "status": {
                "phase": "Running", "podIP": "10.1.0.7", "hostIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
                "containerStatuses": [{
                    "name": "web", "ready": false, "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }],
            },
        });
        assert_eq!(
            describe(&pod).render(),
            "\
Name:            web-1
Namespace:       default
Labels:          app=web
Annotations:     <none>
Created:         2026-01-01T00:00:00Z
Node:            node-1/10.0.0.1
Status:          Running
IP:              10.1.0.7
Controlled By:   ReplicaSet/web-5d9c
Containers:
  web:
    Image:          nginx
    Port:           80/TCP
    State:          Waiting
                      Reason: CrashLoopBackOff
    Last State:     Terminated
                      Reason: OOMKilled
                      Exit Code: 137
    Ready:          False
    Restart Count:  2
    Requests:       cpu: 100m
    Readiness:      http-get :80/ready delay=0s timeout=1s period=10s #success=1 #failure=3
    Environment:    A: 1
                    B: <key \"k\" of secret \"s\">
Conditions:
  Type    Status   Reason               Message
  Ready   False    ContainersNotReady
Node-Selectors:  <none>
Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
"
        );
    }
}
