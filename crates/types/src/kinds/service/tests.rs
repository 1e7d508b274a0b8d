use serde_json::json;

use super::*;

fn service(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
    KIND.default(&mut object);
    object
}

fn complaints(object: &Value) -> Vec<String> {
    KIND.validate_create(object).iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_kubernetes_own() {
    let object = service(json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    let spec = &object["spec"];
    assert_eq!(spec["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": 80}]));
    assert_eq!(spec["sessionAffinity"], "None");
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    assert_eq!(spec["internalTrafficPolicy"], "Cluster");
    assert_eq!(spec["allocateLoadBalancerNodePorts"], true);
    assert!(complaints(&object).is_empty());
}

#[test]
fn what_is_wrong_with_a_service_is_said_as_kubernetes_says_it() {
    for (spec, complaint) in [
        (json!({}), "spec.ports: Required value"),
        (
            json!({"ports": [{"port": 0}]}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (json!({"ports": [{"port": 80, "name": "a"}, {"port": 81}]}), "spec.ports[1].name: Required value"),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ),
        (
            json!({"type": "X", "ports": [{"port": 80}]}),
            "spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \
             \"NodePort\"",
        ),
    ] {
        assert!(complaints(&service(spec)).contains(&complaint.to_owned()), "{complaint}");
    }
}

#[test]
fn an_address_may_not_change() {
    let old = service(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
    let new = service(json!({"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}));
    let errors = KIND.validate_update(&new, &old);
    assert_eq!(errors[0].to_string(), "spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set");
}

#[test]
fn rows_are_those_of_kubectl() {
    let now = "2026-01-01T00:01:00Z".parse().expect("a time");
    let mut object = service(json!({"type": "NodePort", "clusterIP": "10.96.0.9", "selector": {"app": "web"},
        "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}));
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(
        KIND.cells(&object, now),
        ["web", "NodePort", "10.96.0.9", "<none>", "80:30080/TCP,53/UDP", "60s", "app=web"].map(Value::from)
    );
    let pending = service(json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    assert_eq!(KIND.cells(&pending, now)[3], "<pending>");
}
