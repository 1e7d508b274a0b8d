//! Pods without what only the nodes that run them look at: neither controllers nor the scheduler do, and it is most of a pod.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// Takes out of a pod what only the node that runs it looks at, and so most of its memory: what is left places it, counts it and
/// finds its ports. A pod without them must not be written back whole; the API would refuse it.
pub(crate) fn forget_how_to_run(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    let Some(spec) = &mut pod.spec else { return };
    for containers in std::iter::once(&mut spec.containers).chain(&mut spec.init_containers) {
        *containers = containers.drain(..).map(placed).collect();
    }
    // No scheduler here places a pod by its volumes yet; one that does needs them.
    *spec = PodSpec {
        dns_config: None,
        ephemeral_containers: None,
        host_aliases: None,
        image_pull_secrets: None,
        security_context: None,
        volumes: None,
        ..std::mem::take(spec)
    };
}

/// Of a container what it asks of its node, and its ports.
fn placed(container: Container) -> Container {
    let Container { name, image, ports, resources, restart_policy, .. } = container;
    Container { name, image, ports, resources, restart_policy, ..Container::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pod_is_placed_by_is_kept_and_how_it_is_run_is_not() {
        let kept = json!({
            "metadata": { "name": "web", "labels": { "app": "web" }, "annotations": { "note": "n" } },
            "spec": {
                "containers": [{
                    "name": "main",
                    "image": "i",
                    "ports": [{ "name": "http", "containerPort": 80, "hostPort": 8080 }],
                    "resources": { "requests": { "cpu": "1" } },
                }],
                "initContainers": [{ "name": "sidecar", "image": "i", "restartPolicy": "Always" }],
                "nodeName": "node-1",
                "nodeSelector": { "zone": "a" },
                "schedulingGates": [{ "name": "gate" }],
                "tolerations": [{ "key": "k", "operator": "Exists" }],
            },
            "status": { "phase": "Running", "containerStatuses": [{
                "name": "main", "image": "i", "imageID": "", "ready": true, "restartCount": 3,
            }] },
        });
        let mut all = kept.clone();
        all["metadata"]["managedFields"] = json!([{ "manager": "kubectl" }]);
        all["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
        all["spec"]["containers"][0]["env"] = json!([{ "name": "VALUE", "value": "x" }]);
        all["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        all["spec"]["initContainers"][0]["command"] = json!(["run"]);
        let read = |value| -> Pod { serde_json::from_value(value).expect("a pod") };
        let mut pod = read(all);
        forget_how_to_run(&mut pod);
        assert_eq!(pod, read(kept));
    }
}
