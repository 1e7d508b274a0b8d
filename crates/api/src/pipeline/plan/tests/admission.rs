//! What a new pod needs of the cluster, what a Service gets and loses by its type, and what is twice in a patch.

use super::*;

fn with(mut pod: Value, fields: Value) -> Value {
    if let (Some(spec), Value::Object(fields)) = (pod["spec"].as_object_mut(), fields) {
        spec.extend(fields);
    }
    pod
}

#[test]
fn a_pod_names_an_account_and_a_runtime_that_are_there() {
    let mut world = World::new();
    let named = with(pod("a"), json!({"serviceAccountName": "robot"}));
    let refused = world.create("pods", "", named.clone()).expect_err("no such account");
    let why = "error looking up service account default/robot: serviceaccount \"robot\" not found";
    assert_eq!((refused.code, refused.message.as_str()), (403, &*format!("pods \"a\" is forbidden: {why}")));
    world.create("serviceaccounts", "", json!({"metadata": {"name": "robot"}})).expect("creates");
    assert_eq!(world.create("pods", "", named).expect("creates")["spec"]["serviceAccount"], "robot");

    let classed = with(pod("b"), json!({"runtimeClassName": "kata"}));
    let refused = world.create("pods", "", classed.clone()).expect_err("no such class");
    assert_eq!(refused.message, "pods \"b\" is forbidden: pod rejected: RuntimeClass \"kata\" not found");
    let class = json!({"metadata": {"name": "kata"}, "handler": "kata", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"runtime": "kata"}, "tolerations": [{"key": "kata", "operator": "Exists"}]}});
    world.create("runtimeclasses", "", class).expect("creates");
    let created = world.create("pods", "", classed).expect("creates");
    assert_eq!(created["spec"]["overhead"], json!({"cpu": "250m"}));
    assert_eq!(created["spec"]["nodeSelector"], json!({"runtime": "kata"}));
    assert_eq!(created["spec"]["tolerations"], json!([{"key": "kata", "operator": "Exists"}]));
    for contrary in [
        with(pod("c"), json!({"overhead": {"cpu": "1"}})),
        with(pod("c"), json!({"runtimeClassName": "kata", "overhead": {"cpu": "1"}})),
        with(pod("c"), json!({"runtimeClassName": "kata", "nodeSelector": {"runtime": "other"}})),
    ] {
        assert_eq!(world.create("pods", "", contrary).expect_err("contradicts the class").code, 403);
    }
}

#[test]
fn a_service_has_what_its_type_has() {
    let mut world = World::new();
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a.b/c",
        "ports": [{"port": 80}]});
    let old = world.create("services", "", json!({"metadata": {"name": "web"}, "spec": spec})).expect("creates");
    let port = old["spec"]["healthCheckNodePort"].as_u64().expect("a port to ask for health");
    assert_ne!(Some(port), old["spec"]["ports"][0]["nodePort"].as_u64());

    // Who does not know of it does not lose it.
    let mut same = old.clone();
    same["spec"].as_object_mut().expect("a map").remove("healthCheckNodePort");
    same["metadata"]["labels"] = json!({"a": "b"});
    let (kept, _) = world.update("services", "web", &same).expect("updates");
    assert_eq!(kept["spec"]["healthCheckNodePort"], port);
    let mut moved = kept.clone();
    moved["spec"]["healthCheckNodePort"] = json!(port ^ 1);
    assert_eq!(world.update("services", "web", &moved).expect_err("it stays").code, 422);

    // Another type has no use for it, and somebody else may have it then.
    let mut inner = kept;
    inner["spec"]["type"] = json!("ClusterIP");
    let (inner, _) = world.update("services", "web", &inner).expect("updates");
    for field in ["healthCheckNodePort", "externalTrafficPolicy", "loadBalancerClass", "allocateLoadBalancerNodePorts"]
    {
        assert!(inner["spec"][field].is_null(), "{field}: {inner}");
    }
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    world.create("services", "", json!({"metadata": {"name": "other"}, "spec": spec})).expect("the port is free");
}

#[test]
fn what_is_twice_in_a_patch_is_told() {
    let mut world = World::new();
    world.create("configmaps", "", json!({"metadata": {"name": "c"}, "data": {"a": "1"}})).expect("creates");
    for patch_type in [PatchType::Merge, PatchType::Strategic] {
        let patch = Bytes::from_static(br#"{"data":{"b":"1","b":"2"}}"#);
        let operation = Operation::Patch { target: target("configmaps", "c"), patch_type, patch };
        let refused = world.execute(&operation).expect_err("is strict");
        assert_eq!(refused.code, 422);
        assert!(refused.message.ends_with("strict decoding error: duplicate field \"data.b\""), "{}", refused.message);
    }
}
