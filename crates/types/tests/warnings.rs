//! What kinds warn of: a table of objects with the one sentence that each gets, and objects that get none.

use keelson_types::registry;
use serde_json::{Value, json};

/// An object with other values in some of its fields.
fn with(mut base: Value, fields: Value) -> Value {
    if let (Some(base), Value::Object(fields)) = (base.as_object_mut(), fields) {
        base.extend(fields);
    }
    base
}

/// A deployment whose template's spec is so.
fn deployment(spec: Value) -> Value {
    let pod = with(json!({"containers": [{"name": "c", "image": "i"}]}), spec);
    json!({"metadata": {"name": "d", "generation": 1}, "spec": {
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}})
}

fn containers(container: Value) -> Value {
    json!({"containers": [with(json!({"name": "c", "image": "i"}), container)]})
}

fn warnings(kind: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
    let kind = registry::by_name(kind).expect("is a kind");
    let ready = |object: &Value| {
        let mut object = kind.decode_value(object.clone()).expect("is decoded").object;
        kind.default(&mut object);
        object
    };
    kind.warnings(&ready(object), old.map(ready).as_ref())
}

#[test]
fn templates_are_warned_of_with_the_place() {
    let null = "a null labelSelector results in matching no pod";
    for (spec, wanted) in [
        (
            json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
            "nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead".to_owned(),
        ),
        (
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]}]}}}}),
            "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: \
             node-role.kubernetes.io/master is use \"node-role.kubernetes.io/control-plane\" instead"
                .to_owned(),
        ),
        (
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "a"}}]}}}),
            format!(
                "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: {null}"
            ),
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]}),
            format!("topologySpreadConstraints[0].labelSelector: {null}"),
        ),
        (json!({"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]}), "volumes[0].gitRepo: deprecated in v1.11".to_owned()),
        (json!({"hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]}), "hostAliases[1].ip: duplicate ip \"1.2.3.4\"".to_owned()),
        (json!({"imagePullSecrets": [{"name": "s"}, {"name": "s"}]}), "imagePullSecrets[1].name: duplicate name \"s\"".to_owned()),
        (json!({"imagePullSecrets": [{}]}), "imagePullSecrets[0].name: invalid empty name \"\"".to_owned()),
        (
            json!({"terminationGracePeriodSeconds": -1}),
            "terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1".to_owned(),
        ),
        (
            containers(json!({"resources": {"requests": {"memory": "1500m"}}})),
            "containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer".to_owned(),
        ),
        (
            containers(json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]})),
            "containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply".to_owned(),
        ),
        (
            containers(json!({"ports": [{"containerPort": 80, "hostIP": "1.2.3.4"}]})),
            "containers[0].ports[0]: hostIP set without hostPort: {\"containerPort\":80,\"hostIP\":\"1.2.3.4\",\"protocol\":\"TCP\"}"
                .to_owned(),
        ),
        (
            containers(json!({"ports": [{"containerPort": 80}, {"containerPort": 80, "name": "again"}]})),
            "containers[0].ports[1]: duplicate port definition with spec.template.spec.containers[0].ports[0]".to_owned(),
        ),
        (
            containers(json!({"ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 80}]})),
            "containers[0].ports[1]: overlapping port definition with spec.template.spec.containers[0].ports[0]".to_owned(),
        ),
    ] {
        let object = deployment(spec.clone());
        assert_eq!(warnings("deploy", &object, None), [format!("spec.template.spec.{wanted}")], "{spec}");
        let mut job = json!({"metadata": {"name": "j"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {}}}});
        job["spec"]["jobTemplate"]["spec"]["template"] = object["spec"]["template"].clone();
        assert_eq!(warnings("cj", &job, None).len(), 1, "{spec}");
        // A pod is warned of when it is made, and a template when it changes.
        let pod = json!({"metadata": {"name": "p"}, "spec": object["spec"]["template"]["spec"]});
        assert_eq!(warnings("pod", &pod, None).len(), 1, "{spec}");
        assert_eq!(warnings("pod", &pod, Some(&pod)), [""; 0]);
        assert_eq!(warnings("deploy", &object, Some(&object)), [""; 0]);
        let mut newer = object.clone();
        newer["metadata"]["generation"] = 2.into();
        assert_eq!(warnings("deploy", &newer, Some(&object)).len(), 1);
    }
}

#[test]
fn what_is_usual_is_not_warned_of() {
    for spec in [
        json!({}),
        containers(json!({"env": [{"name": "PATH", "value": "/bin"}, {"name": "PATH", "value": "$(PATH):/more"}]})),
        containers(json!({"ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]})),
        containers(json!({"resources": {"limits": {"memory": "1Gi", "cpu": "1500m"}}})),
        json!({"imagePullSecrets": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"kubernetes.io/os": "linux"}}),
    ] {
        assert_eq!(warnings("deploy", &deployment(spec), None), [""; 0]);
    }
}

#[test]
fn other_kinds_are_warned_of_too() {
    let service = |spec: Value| json!({"metadata": {"name": "s"}, "spec": spec});
    for (kind, object, wanted) in [
        (
            "svc",
            service(json!({"clusterIP": "None", "sessionAffinity": "ClientIP", "ports": [{"port": 80}]})),
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            "svc",
            service(json!({"externalIPs": ["1.2.3.4"], "ports": [{"port": 80}]})),
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
        (
            "svc",
            service(json!({"externalName": "a.example.com", "ports": [{"port": 80}]})),
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ),
        (
            "ing",
            json!({"metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}}),
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ),
        (
            "deploy",
            {
                let mut dotted = deployment(json!({}));
                dotted["metadata"]["name"] = "a.b".into();
                dotted
            },
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [must not contain dots]",
        ),
    ] {
        assert_eq!(warnings(kind, &object, None), [wanted]);
    }
}

#[test]
fn a_long_list_is_not_told_at_the_length_of_its_square() {
    let ports: Vec<Value> = (0..3000).map(|_| json!({"containerPort": 80})).collect();
    let told = warnings("Deployment", &deployment(containers(json!({"ports": ports}))), None);
    assert_eq!(told.len(), 2999);
}
