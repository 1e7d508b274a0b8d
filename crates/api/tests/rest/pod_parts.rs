//! What has subresources of its own in a pod that exists: containers for debugging, and other resources.

use http::Method;
use serde_json::{Value, json};

use crate::access::{JSON, RBAC, binding, jane};
use crate::member::Member;

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    let resources = json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m"}});
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a:1", "resources": resources}]}})
}

fn debugger(name: &str) -> Value {
    json!({"spec": {"ephemeralContainers": [
        {"name": name, "image": "b:1", "targetContainerName": "a", "stdin": true, "tty": true},
    ]}})
}

#[tokio::test]
async fn containers_for_debugging_are_only_ever_added() {
    let member = Member::start().await;
    member.post(PODS, &pod("p")).await.expect(201);
    let path = format!("{PODS}/p/ephemeralcontainers");
    assert_eq!(member.get(&path).await.expect(200)["kind"], "Pod");
    // As `kubectl debug` sends it.
    let patched = member.patch(&path, "strategic-merge", &debugger("x")).await.expect(200);
    assert_eq!(patched["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"], "File");
    assert_eq!(patched["metadata"]["generation"], 2);
    let patched = member.patch(&path, "strategic-merge", &debugger("y")).await.expect(200);
    assert_eq!(patched["spec"]["ephemeralContainers"].as_array().map(Vec::len), Some(2), "beside the first");

    let mut whole = member.get(&path).await.expect(200);
    whole["spec"]["containers"][0]["image"] = "other".into();
    let list = whole["spec"]["ephemeralContainers"].as_array_mut().expect("a list");
    list.push(json!({"name": "z", "image": "c:1"}));
    let put = member.put(&path, &whole).await.expect(200);
    assert_eq!(
        (&put["spec"]["containers"][0]["image"], put["metadata"]["generation"].as_i64()),
        (&json!("a:1"), Some(4))
    );
    assert_eq!(member.put(&path, &whole).await.expect(409)["reason"], "Conflict", "it was read before");

    let refused = member.patch(&path, "merge", &json!({"spec": {"ephemeralContainers": []}})).await.expect(422);
    let told = refused["message"].as_str().expect("text");
    assert!(told.contains("existing ephemeral containers \"x\" may not be removed"), "{told}");
    let ports =
        json!({"spec": {"ephemeralContainers": [{"name": "w", "image": "b", "ports": [{"containerPort": 1}]}]}});
    let refused = member.patch(&path, "strategic-merge", &ports).await.expect(422);
    // The list is sorted as a patch's order says, new ones first.
    let field = refused["details"]["causes"][0]["field"].as_str().expect("text");
    assert!(field.starts_with("spec.ephemeralContainers[") && field.ends_with("].ports"), "{refused}");
    // Not by the object itself, and not from the beginning.
    member.patch(&format!("{PODS}/p"), "strategic-merge", &debugger("v")).await.expect(422);
    let mut new = pod("q");
    new["spec"]["ephemeralContainers"] = debugger("x")["spec"]["ephemeralContainers"].clone();
    member.post(PODS, &new).await.expect(422);
    member.get(&format!("{PODS}/none/ephemeralcontainers")).await.expect(404);
    member.get("/api/v1/namespaces/default/services/kubernetes/ephemeralcontainers").await.expect(404);
    member.delete(&path).await.expect(405);
}

#[tokio::test]
async fn a_pod_is_resized_by_cpu_and_memory_alone() {
    let member = Member::start().await;
    member.post(&format!("{PODS}?fieldManager=maker"), &pod("p")).await.expect(201);
    let path = format!("{PODS}/p/resize");
    let resources = |requests: Value| json!({"spec": {"containers": [{"name": "a", "image": "other", "resources": {"requests": requests}}]}});
    let as_robot = format!("{path}?fieldManager=robot");
    let resized = member.patch(&as_robot, "strategic-merge", &resources(json!({"cpu": "150m"}))).await.expect(200);
    let container = &resized["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "150m", "memory": "64Mi"}));
    assert_eq!((container["image"].as_str(), resized["metadata"]["generation"].as_i64()), (Some("a:1"), Some(2)));
    let managers: Vec<_> = resized["metadata"]["managedFields"].as_array().expect("a list").iter().collect();
    assert!(managers.iter().any(|entry| entry["subresource"] == "resize"), "{managers:?}");

    for (requests, why) in [
        (json!({"memory": null}), "resource requests cannot be removed"),
        (json!({"cpu": "300m"}), "must be less than or equal to cpu limit of 200m"),
        (json!({"ephemeral-storage": "1Gi"}), "only cpu and memory resources are mutable"),
    ] {
        let refused = member.patch(&path, "strategic-merge", &resources(requests)).await.expect(422);
        assert!(refused["message"].as_str().is_some_and(|told| told.contains(why)), "{refused}");
    }
    let guaranteed = json!({"spec": {"containers": [{"name": "a", "resources": {
        "requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}}}]}});
    let refused = member.patch(&path, "strategic-merge", &guaranteed).await.expect(422);
    assert!(refused["message"].as_str().is_some_and(|told| told.contains("Pod QOS Class may not change")), "{refused}");
    // By the object itself, nothing of it may change.
    member.patch(&format!("{PODS}/p"), "strategic-merge", &resources(json!({"cpu": "120m"}))).await.expect(422);

    let apply = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {containers: [{name: a, image: other, \
                 resources: {requests: {cpu: 160m}}}]}\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    let query = format!("{path}?fieldManager=scaler&force=true");
    let applied = member.send(Method::PATCH, &query, &headers, apply).await.expect(200);
    assert_eq!(applied["spec"]["containers"][0]["resources"]["requests"]["cpu"], "160m");
    assert_eq!(
        (&applied["metadata"]["labels"], &applied["spec"]["containers"][0]["image"]),
        (&Value::Null, &json!("a:1"))
    );
    let entries = applied["metadata"]["managedFields"].as_array().expect("a list");
    let own = entries.iter().find(|entry| entry["manager"] == "scaler").expect("an entry");
    let fields = own["fieldsV1"].to_string();
    assert!(fields.contains("f:cpu") && !fields.contains("f:image") && !fields.contains("f:labels"), "{fields}");
}

#[tokio::test]
async fn parts_of_pods_take_rights_of_their_own_and_are_discovered() {
    let member = Member::start().await;
    member.post(PODS, &pod("p")).await.expect(201);
    let role = json!({"metadata": {"name": "debugger"}, "rules": [
        {"verbs": ["get", "patch"], "apiGroups": [""], "resources": ["pods/ephemeralcontainers"]},
        {"verbs": ["get", "patch"], "apiGroups": [""], "resources": ["pods"]},
    ]});
    member.post(&format!("{RBAC}/namespaces/default/roles"), &role).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("debuggers", "Role", "debugger", "developers")).await.expect(201);
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let patch = async |part: &str, patch: Value| {
        member.send_as(jane(), Method::PATCH, &format!("{PODS}/p/{part}"), &headers, patch.to_string()).await
    };
    patch("ephemeralcontainers", debugger("x")).await.expect(200);
    let refused = patch("resize", json!({})).await.expect(403);
    assert!(refused["message"].as_str().is_some_and(|told| told.contains("\"pods/resize\"")), "{refused}");
    member.send_as(jane(), Method::PUT, &format!("{PODS}/p/ephemeralcontainers"), &[JSON], "{}").await.expect(403);

    let discovered = member.get("/api/v1").await.expect(200);
    let document = member.get("/openapi/v3/api/v1").await.expect(200);
    for part in ["ephemeralcontainers", "resize"] {
        let name = format!("pods/{part}");
        let resources = discovered["resources"].as_array().expect("a list");
        let found = resources.iter().find(|resource| resource["name"] == name.as_str()).expect("is discovered");
        assert_eq!((&found["kind"], &found["verbs"]), (&json!("Pod"), &json!(["get", "patch", "update"])));
        let path = format!("/api/v1/namespaces/{{namespace}}/{{name}}/{part}").replace("{name}", "pods/{name}");
        assert!(document["paths"][&path]["patch"].is_object(), "{path}");
    }
}
